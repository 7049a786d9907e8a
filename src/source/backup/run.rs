//! A backup tool as a child process: without a shell, in a process group of its own, with a deadline and a limit on what
//! is read. What it leaves behind is killed with it, at the deadline and after its end alike.

use std::{
    env,
    io::ErrorKind,
    process::{ExitStatus, Stdio},
    sync::Arc,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    sync::Mutex,
    time::{Instant, timeout, timeout_at},
};

use crate::{
    secret::Secret,
    settings::Environment,
    source::backup::problem::{BackupProblem, BackupReason},
};

/// The most that is read of what a tool says.
pub const OUTPUT_LIMIT: usize = 16 << 20;

/// What is kept of its complaints: the end.
const TAIL: usize = 2 << 10;

/// After the tool's own end its pipes are closed soon, unless one of its children keeps them.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A killed process that is not gone after this hangs in the kernel; it is waited for beside.
const REAPING: Duration = Duration::from_secs(1);

/// Variables that tools are passed: those they are known to read, and the few that everybody needs. All else may be a
/// secret that is none of theirs.
const PASSED: [&str; 13] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "LANG",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "SSH_AUTH_SOCK",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "https_proxy",
    "no_proxy",
];
const PASSED_FAMILIES: [&str; 12] = [
    "LC_",
    "XDG_",
    "SSL_CERT_",
    "PGBACKREST_",
    "BARMAN_",
    "WALG_",
    "WALE_",
    "AWS_",
    "AZURE_",
    "GOOGLE_",
    "GCS_",
    "OS_",
];

/// In the names of variables whose values are not shown.
const SECRET: [&str; 5] = ["KEY", "PASS", "SECRET", "TOKEN", "CREDENTIAL"];

/// One at a time.
pub type Turn = Arc<Mutex<()>>;

/// Its standard output, if it ended well by then. `command` is the program and its arguments.
///
/// # Errors
/// It could not be started, failed, did not end in time, or said too much.
pub async fn run(command: &[String], own: &Environment, turn: &Turn, until: Instant) -> Result<Vec<u8>, BackupProblem> {
    let busy = || BackupProblem::new(BackupReason::Busy, "the run before has not ended yet");
    let guard = timeout_at(until, turn.clone().lock_owned()).await.map_err(|_| busy())?;
    let began = Instant::now();
    let mut child = start(command, own)?;
    let mut group = ProcessGroup(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let mut said = ToolOutput::default();
    let talked = timeout_at(until, said.listen(&mut child)).await;
    group.end();
    if timeout(REAPING, child.wait()).await.is_err() {
        tokio::spawn(async move {
            _ = child.wait().await;
            drop(guard);
        });
    }
    let program = &command[0];
    let status = talked.unwrap_or_else(|_| {
        let waited = humantime::format_duration(Duration::from_secs(began.elapsed().as_secs()));
        Err(BackupProblem::new(
            BackupReason::Timeout,
            format!("{program} did not end within {waited} and was killed{}", said.complaint()),
        ))
    })?;
    match status.success() {
        true => Ok(said.output),
        false => Err(BackupProblem::new(BackupReason::Failed, format!("{program}: {status}{}", said.complaint()))),
    }
}

fn start(command: &[String], own: &Environment) -> Result<Child, BackupProblem> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| BackupProblem::new(BackupReason::Missing, "no program is named"))?;
    let mut process = Command::new(program);
    process.args(arguments).env_clear().envs(env::vars_os().filter(|(name, _)| is_passed(&name.to_string_lossy())));
    process.envs(own.expose());
    process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    process.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => BackupProblem::new(BackupReason::Missing, format!("there is no program {program}")),
        _ => BackupProblem::new(BackupReason::Failed, format!("{program} cannot be started: {error}")),
    })
}

/// The text without the values of variables that a program was given, which it may have said: all that are its own, and those passed
/// on whose names speak of secrets. What is shorter than a password is left.
pub fn without_secrets(text: &str, own: &Environment) -> String {
    let is_secret = |name: &str| is_passed(name) && SECRET.iter().any(|word| name.contains(word));
    let passed = env::vars_os().filter(|(name, _)| is_secret(&name.to_string_lossy()));
    let mut values: Vec<_> = passed.map(|(_, value)| Secret::new(value.to_string_lossy())).collect();
    values.extend(own.0.iter().map(|(_, value)| value.clone()));
    let shown = |text: String, value: &Secret| text.replace(value.expose(), "***");
    values.iter().filter(|value| value.expose().len() >= 4).fold(text.to_owned(), shown)
}

fn is_passed(name: &str) -> bool {
    PASSED.contains(&name) || PASSED_FAMILIES.iter().any(|family| name.starts_with(family))
}

/// The processes of a run. Dropped, as when the program ends, they are killed.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    /// Kills what is left of it. The group's leader may have been reaped a moment ago; its number is not given out again
    /// before the kernel has counted through all others.
    fn end(&mut self) {
        if let Some(group) = self.0.take() {
            // Nobody is left in it, most of the time.
            _ = kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        self.end();
    }
}

/// What it has said so far.
#[derive(Default)]
struct ToolOutput {
    output: Vec<u8>,
    complaints: Vec<u8>,
}

impl ToolOutput {
    /// Reads both outputs until they are closed, and waits for its end.
    async fn listen(&mut self, child: &mut Child) -> Result<ExitStatus, BackupProblem> {
        let (output, complaints) = (child.stdout.take(), child.stderr.take());
        let reads = async {
            tokio::try_join!(keep(output, &mut self.output), keep_tail(complaints, &mut self.complaints)).map(|_| ())
        };
        tokio::pin!(reads);
        let ended = tokio::select! {
            read = &mut reads => {
                read?;
                child.wait().await
            }
            ended = child.wait() => {
                if let Ok(read) = timeout(LAST_WORDS, reads).await {
                    read?;
                }
                ended
            }
        };
        ended.map_err(failed)
    }

    /// The last of what it complained, for messages.
    fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.complaints);
        let lines: Vec<_> = text.split_whitespace().collect();
        if lines.is_empty() { String::new() } else { format!(": {}", lines.join(" ")) }
    }
}

fn failed(error: std::io::Error) -> BackupProblem {
    BackupProblem::new(BackupReason::Failed, error.to_string())
}

async fn keep(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) -> Result<(), BackupProblem> {
    let Some(pipe) = pipe else { return Ok(()) };
    pipe.take(OUTPUT_LIMIT as u64 + 1).read_to_end(kept).await.map_err(failed)?;
    match kept.len() > OUTPUT_LIMIT {
        true => {
            Err(BackupProblem::new(BackupReason::TooLarge, format!("it said more than {} MiB", OUTPUT_LIMIT >> 20)))
        }
        false => Ok(()),
    }
}

async fn keep_tail(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) -> Result<(), BackupProblem> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut buffer = [0; 4 << 10];
    loop {
        let length = pipe.read(&mut buffer).await.map_err(failed)?;
        if length == 0 {
            return Ok(());
        }
        kept.extend_from_slice(&buffer[..length]);
        kept.drain(..kept.len().saturating_sub(TAIL));
    }
}
