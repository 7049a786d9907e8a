//! What is done to a stack, step by step.

use std::{
    net::TcpStream,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle, sleep},
    time::Duration,
};

use super::{round::Step, stack::Stack};
use crate::support::{
    Session, Stop,
    process::{self, Process},
    psql,
};

/// What goes on until a fault is mended; it ends when dropped.
#[allow(dead_code)]
pub enum Held {
    Sessions(Vec<Session>),
    Connections(Vec<TcpStream>),
    Program(Process),
    Loop(Loop),
}

/// SQL that is run again and again, whatever becomes of it.
pub struct Loop {
    ended: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Loop {
    fn start(psql: impl Fn() -> Command + Send + 'static, sql: String) -> Loop {
        let ended = Arc::new(AtomicBool::new(false));
        let is_over = ended.clone();
        let thread = thread::spawn(move || {
            while !is_over.load(Ordering::Relaxed) {
                _ = psql::run(&mut psql(), &sql);
                sleep(Duration::from_millis(50));
            }
        });
        Loop { ended, thread: Some(thread) }
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            _ = thread.join();
        }
    }
}

impl Stack {
    /// Does a step as often as it says; returns what is to be held.
    pub fn act(&self, step: &Step) -> Vec<Held> {
        let text = self.put(&step.what);
        match step.verb.as_str() {
            "sql" => {
                drop(psql::run(&mut self.watched.psql(&step.on)(), &text).unwrap_or_else(|e| panic!("{text}: {e}")))
            }
            "hold" => return vec![self.sessions(step, |session| drop(session.run(&text)))],
            "send" => return vec![self.sessions(step, |session| session.send(&text))],
            "again" => return (0..step.times).map(|_| self.again(step, &text)).collect(),
            "redis" => drop(self.cache(step).run(&text)),
            "connect" => return vec![self.connect(step, &text)],
            "loop" => {
                let mut shell = self.folder.logged_command("/bin/sh");
                return vec![Held::Program(Process::start(shell.args(["-c", &text])))];
            }
            "shell" => self.shell(&text),
            "backup" => self.watched.repository.as_ref().expect("a repository").backup(&text),
            "edit" => self.edit(step, &text),
            "do" => self.order(step),
            other => panic!("{other}: there is no such step"),
        }
        Vec::new()
    }

    fn sessions(&self, step: &Step, mut begin: impl FnMut(&mut Session)) -> Held {
        let psql = self.watched.psql(&step.on);
        let open = |_| {
            let mut session = Session::open(&mut psql());
            begin(&mut session);
            session
        };
        Held::Sessions((0..step.times).map(open).collect())
    }

    fn again(&self, step: &Step, text: &str) -> Held {
        Held::Loop(Loop::start(self.watched.psql(&step.on), text.to_owned()))
    }

    fn cache(&self, step: &Step) -> &crate::support::Redis {
        self.watched.caches.get(&step.on).unwrap_or_else(|| panic!("{step:?}: there is no such part"))
    }

    /// As many connections that say nothing.
    fn connect(&self, step: &Step, count: &str) -> Held {
        let port = self.cache(step).port();
        let count: usize = count.parse().expect("a number of connections");
        Held::Connections((0..count).map(|_| TcpStream::connect(("127.0.0.1", port)).expect("a connection")).collect())
    }

    fn shell(&self, text: &str) {
        let output = self.folder.command("/bin/sh").args(["-euc", text]).output();
        let output = output.expect("running a shell");
        assert!(output.status.success(), "{text}:\n{}", String::from_utf8_lossy(&output.stderr));
    }

    /// `FROM => TO` in the settings of pgvigil, Prometheus or PgBouncer, which then reads them again.
    fn edit(&self, step: &Step, text: &str) {
        let (from, to) = text.split_once(" => ").expect("FROM => TO");
        let (folder, file, pid) = match step.on.as_str() {
            "pgvigil" => (&self.folder, "pgvigil.json", self.pgvigil.pid()),
            "prometheus" => (self.prometheus.folder(), "prometheus.yml", self.prometheus.pid()),
            _ => {
                let pooler = self.watched.pooler.as_ref().expect("a pooler");
                return pooler.lock().expect("no panic").reconfigure(from, to);
            }
        };
        let before = std::fs::read_to_string(folder.path().join(file)).expect("settings");
        assert!(before.contains(from), "{from} is not in {before}");
        folder.write(file, &before.replace(from, to));
        process::signal("HUP", &[pid]);
    }

    fn order(&self, step: &Step) {
        if let Some(server) = self.watched.servers.get(&step.on) {
            return match step.what.as_str() {
                "stop" => server.stop(Stop::Fast),
                "start" => server.start(),
                "restart" => server.restart(),
                "pause" => server.pause(),
                "resume" => server.resume(),
                "promote" => server.promote(),
                _ => panic!("{step:?}"),
            };
        }
        match (step.on.as_str(), step.what.as_str()) {
            ("pooler", what) => {
                let mut pooler = self.watched.pooler.as_ref().expect("a pooler").lock().expect("no panic");
                if what == "stop" { pooler.stop() } else { pooler.restart() }
            }
            ("pgvigil", "pause") => self.pgvigil.signal("STOP"),
            ("pgvigil", "resume") => self.pgvigil.signal("CONT"),
            (_, "stop") => self.cache(step).kill(),
            (_, "start") => self.cache(step).start_again(),
            (_, "pause") => self.cache(step).signal("STOP"),
            (_, "resume") => self.cache(step).signal("CONT"),
            _ => panic!("{step:?}"),
        }
    }
}
