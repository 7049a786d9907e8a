//! Runs a backup tool without a shell, in its own process group, with a deadline and a limit on its output. The whole
//! group is killed at the deadline, and also after the tool itself has ended.

use std::env;
use std::io::{self, ErrorKind};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use crate::secret::Secret;
use crate::source::backup::problem::{BackupProblem, BackupReason};

/// The most bytes that a tool may write.
pub const OUTPUT_LIMIT: usize = 16 << 20;

/// How much of the end of standard error is kept.
const TAIL: usize = 2 << 10;

/// The outputs close soon after the tool has ended, unless one of its children keeps them open.
const DRAINING: Duration = Duration::from_secs(1);

/// A killed process that has not ended after this hangs in the kernel; a task waits for it.
const REAPING: Duration = Duration::from_secs(1);

/// Variables that are passed on to tools: those that tools are known to read, and the few that every program needs.
/// Others may be secrets of other programs.
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

/// Words in the names of variables whose values are not shown.
const SECRET: [&str; 5] = ["KEY", "PASS", "SECRET", "TOKEN", "CREDENTIAL"];

/// Held until a process has ended: only one runs at a time.
pub type ProcessLock = Arc<Mutex<()>>;

/// Returns the standard output of a successful run. `command` is the program and its arguments.
///
/// # Errors
/// The program could not be started, failed, did not end in time, or wrote too much.
pub async fn run(
    command: &[String],
    environment: &[(String, Secret)],
    lock: &ProcessLock,
    until: Instant,
) -> Result<Vec<u8>, BackupProblem> {
    let busy = |_| BackupReason::Busy.because("the previous run has not ended yet");
    let guard = timeout_at(until, lock.clone().lock_owned()).await.map_err(busy)?;
    let began = Instant::now();
    let mut child = start(command, environment)?;
    let group = ProcessGroup(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)));
    let mut output = ToolOutput::default();
    let ended = timeout_at(until, output.read_until_end(&mut child)).await;
    drop(group);
    if timeout(REAPING, child.wait()).await.is_err() {
        tokio::spawn(async move {
            _ = child.wait().await;
            drop(guard);
        });
    }
    let (program, stderr) = (&command[0], output.shown_stderr());
    let Ok(status) = ended else {
        let waited = humantime::format_duration(Duration::from_secs(began.elapsed().as_secs()));
        let message = format!("{program} did not end within {waited} and was killed{stderr}");
        return Err(BackupReason::Timeout.because(message));
    };
    let status = status?;
    if !status.success() {
        return Err(BackupReason::Failed.because(format!("{program}: {status}{stderr}")));
    }
    Ok(output.stdout)
}

fn start(command: &[String], environment: &[(String, Secret)]) -> Result<Child, BackupProblem> {
    let [program, arguments @ ..] = command else { return Err(BackupReason::Missing.because("no program is named")) };
    let mut process = Command::new(program);
    process.args(arguments).env_clear().envs(env::vars_os().filter(|(name, _)| is_passed(&name.to_string_lossy())));
    process.envs(environment.iter().map(|(name, value)| (name, value.expose())));
    process.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    process.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => BackupReason::Missing.because(format!("there is no program {program}")),
        _ => BackupReason::Failed.because(format!("{program} cannot be started: {error}")),
    })
}

/// Removes the values of a program's variables from its text: all from the settings, and those passed on whose name
/// suggests a secret. Values too short for a password stay.
pub fn without_secrets(text: &str, environment: &[(String, Secret)]) -> String {
    let is_secret = |name: &str| is_passed(name) && SECRET.iter().any(|word| name.contains(word));
    let passed = env::vars_os().filter(|(name, _)| is_secret(&name.to_string_lossy()));
    let passed = passed.map(|(_, value)| Secret::from(value.to_string_lossy()));
    let values = passed.chain(environment.iter().map(|(_, value)| value.clone()));
    let mut text = text.to_owned();
    for value in values.filter(|value| value.expose().len() >= 4) {
        text = text.replace(value.expose(), "***");
    }
    text
}

fn is_passed(name: &str) -> bool {
    PASSED.contains(&name) || PASSED_FAMILIES.iter().any(|family| name.starts_with(family))
}

/// The processes of a run. Dropping it, as when the program ends, kills those that are left.
struct ProcessGroup(Option<Pid>);

impl Drop for ProcessGroup {
    /// The leader may just have been reaped, but the kernel uses all other numbers before it reuses this one.
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // Usually no process is left.
            _ = kill_process_group(group, Signal::KILL);
        }
    }
}

/// The output of a tool so far.
#[derive(Default)]
struct ToolOutput {
    stdout: Vec<u8>,
    /// Only the end of it is kept.
    stderr: Vec<u8>,
}

impl ToolOutput {
    /// Reads both outputs until they close, and waits for the tool to end.
    async fn read_until_end(&mut self, child: &mut Child) -> Result<ExitStatus, BackupProblem> {
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let reads = async { tokio::try_join!(read(stdout, &mut self.stdout), read_tail(stderr, &mut self.stderr)) };
        let until_drained = async {
            let ended = child.wait().await;
            sleep(DRAINING).await;
            ended
        };
        let ended = tokio::select! {
            read = reads => {
                read?;
                child.wait().await
            }
            ended = until_drained => ended,
        };
        ended.map_err(failed)
    }

    /// The end of standard error on one line, for messages.
    fn shown_stderr(&self) -> String {
        let text = String::from_utf8_lossy(&self.stderr);
        let words: Vec<_> = text.split_whitespace().collect();
        if words.is_empty() { String::new() } else { format!(": {}", words.join(" ")) }
    }
}

fn failed(error: io::Error) -> BackupProblem {
    BackupReason::Failed.because(error.to_string())
}

async fn read(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) -> Result<(), BackupProblem> {
    let Some(pipe) = pipe else { return Ok(()) };
    pipe.take(OUTPUT_LIMIT as u64 + 1).read_to_end(kept).await.map_err(failed)?;
    if kept.len() > OUTPUT_LIMIT {
        return Err(BackupReason::TooLarge.because(format!("it wrote more than {} MiB", OUTPUT_LIMIT >> 20)));
    }
    Ok(())
}

async fn read_tail(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>) -> Result<(), BackupProblem> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut buffer = [0; 4 << 10];
    while let length @ 1.. = pipe.read(&mut buffer).await.map_err(failed)? {
        kept.extend_from_slice(&buffer[..length]);
        kept.drain(..kept.len().saturating_sub(TAIL));
    }
    Ok(())
}
