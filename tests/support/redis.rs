//! A Redis (or Valkey) server.

use std::{
    env, fs,
    io::Write,
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Stdio,
    sync::Mutex,
    time::Duration,
};

use super::{
    Folder, PASSWORD, eventually,
    place::{free_port, system_program},
    postgres::encode,
    process::Process,
};

/// The programs to test: `PGVIGIL_TEST_REDIS` (paths, comma-separated), or the system's.
pub fn redis_programs() -> Vec<PathBuf> {
    match env::var("PGVIGIL_TEST_REDIS") {
        Ok(list) => list.split(',').map(|path| PathBuf::from(path.trim())).collect(),
        Err(_) => vec![system_program("redis-server")],
    }
}

/// Listens on 127.0.0.1 and on a socket; keeps nothing when it is stopped, unless it is told to save.
pub struct Redis {
    port: u16,
    program: PathBuf,
    options: Vec<String>,
    folder: Folder,
    process: Mutex<Option<Process>>,
}

impl Redis {
    /// The first of the programs, with more options: `--requirepass secret`.
    pub fn start(options: &str) -> Redis {
        Redis::start_as(&redis_programs()[0], options)
    }

    pub fn start_as(program: &Path, options: &str) -> Redis {
        Redis::start_in(Folder::for_server("redis", "TERM"), program, options)
    }

    /// In a folder that holds files which its options name.
    pub fn start_in(folder: Folder, program: &Path, options: &str) -> Redis {
        let options = options.split_whitespace().map(str::to_owned).collect();
        let redis =
            Redis { port: free_port(), program: program.to_owned(), options, folder, process: Mutex::default() };
        redis.start_again();
        redis
    }

    /// A replica of this server; `password` is what the server asks for, if it does.
    pub fn replica(&self, password: &str) -> Redis {
        let auth = if password.is_empty() { String::new() } else { format!("--masterauth {password}") };
        Redis::start_as(
            &self.program,
            &format!("--replicaof 127.0.0.1 {} --repl-diskless-sync-delay 0 {auth}", self.port),
        )
    }

    /// Starts it, or starts it again, and waits until it listens.
    pub fn start_again(&self) {
        let mut command = self.folder.logged_command(&self.program);
        let socket = self.socket();
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--daemonize", "no", "--save", ""]);
        command.arg("--unixsocket").arg(&socket).args(&self.options);
        let mut process = Process::start(&mut command);
        eventually(Duration::from_secs(20), "Redis starts", || {
            assert!(process.ended().is_none(), "Redis did not start:\n{}", self.folder.log());
            UnixStream::connect(&socket).is_ok()
        });
        *self.process.lock().expect("no panic while held") = Some(process);
    }

    /// Ends it at once, without saving.
    pub fn kill(&self) {
        drop(self.process.lock().expect("no panic while held").take());
        _ = fs::remove_file(self.socket());
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    pub fn folder(&self) -> &Folder {
        &self.folder
    }

    pub fn pid(&self) -> u32 {
        self.process.lock().expect("no panic while held").as_ref().expect("it runs").pid()
    }

    pub fn signal(&self, name: &str) {
        super::process::signal(name, &[self.pid()]);
    }

    /// How a client finds it, without a login.
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// The same with a user (or "") and the password `PASSWORD`.
    pub fn url_as(&self, user: &str) -> String {
        format!("redis://{user}:{}@127.0.0.1:{}", encode(PASSWORD), self.port)
    }

    /// Does commands, one in a line, as redis-cli writes them, over the socket; their answers, one in a line.
    pub fn run(&self, commands: &str) -> String {
        self.run_as(None, commands)
    }

    /// The same with the password of the user `default`.
    pub fn run_as(&self, password: Option<&str>, commands: &str) -> String {
        let mut client = self.folder.command(system_program("redis-cli"));
        client.arg("-s").arg(self.socket()).stdin(Stdio::piped()).stdout(Stdio::piped());
        client.envs(password.map(|password| ("REDISCLI_AUTH", password)));
        let mut client = client.spawn().expect("starting redis-cli");
        let mut input = client.stdin.take().expect("a pipe");
        writeln!(input, "{commands}").expect("writing to redis-cli");
        drop(input);
        let output = client.wait_with_output().expect("redis-cli ends");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }
}
