//! One repository: reads its contents on each refresh, and keeps them for a limited time.
//!
//! If a refresh brings nothing, the last contents stay until they are `max_age` old: a tool that fails must not hide
//! how old the newest backup is. The failure itself is reported at once.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::log_limit::LogLimit;
use crate::settings::{DocumentPart, DocumentSource, Tool};
use crate::source::backup::contents::{MOST_AHEAD, RepositoryContents};
use crate::source::backup::problem::{BackupProblem, BackupReason};
use crate::source::backup::run::{OUTPUT_LIMIT, ProcessLock};
use crate::source::backup::{archive, barman, files, pgbackrest, run, walg};
use crate::source::blocking_pool::BlockingPool;
use crate::source::sections::unix_seconds;
use crate::{settings, truncate};

/// A repository, and its last known state.
pub struct Repository {
    pub settings: settings::RepositorySettings,
    /// One refresh at a time.
    refreshing: tokio::sync::Mutex<()>,
    /// One process at a time, until it has ended.
    process: ProcessLock,
    reading: BlockingPool,
    archive: BlockingPool,
    verified: BlockingPool,
    state: Mutex<RepositoryState>,
    /// The last log line of each part: the reason why it is unknown, or `None` once it is known again.
    logged: LogLimit<(DocumentPart, Option<BackupReason>)>,
}

/// The known contents, and the problems.
#[derive(Clone, Default)]
pub struct RepositoryState {
    pub known: Option<DatedContents>,
    pub problems: BackupProblems,
    /// Malformed values in everything read so far.
    pub malformed: u64,
    /// When the marker of a tested restore was touched.
    pub verified: Option<SystemTime>,
    /// The duration of the last attempt.
    pub took: Option<Duration>,
    refreshed: Option<Instant>,
}

type BackupProblems = BTreeMap<DocumentPart, BackupProblem>;

/// A repository's contents, and the time they were read.
#[derive(Clone)]
pub struct DatedContents {
    pub contents: RepositoryContents,
    pub at: SystemTime,
}

impl Repository {
    pub fn new(settings: settings::RepositorySettings) -> Self {
        let pending = BackupReason::Pending.because("no answer yet");
        let problems = BTreeMap::from([(DocumentPart::Information, pending)]);
        Repository {
            settings,
            refreshing: tokio::sync::Mutex::default(),
            process: ProcessLock::default(),
            reading: BlockingPool::default(),
            archive: BlockingPool::default(),
            verified: BlockingPool::default(),
            state: Mutex::new(RepositoryState { problems, ..RepositoryState::default() }),
            logged: LogLimit::default(),
        }
    }

    /// The current state, without contents that are too old.
    pub fn state(&self) -> RepositoryState {
        let mut state = self.state.lock().clone();
        state.known.take_if(|known| distance_from_now(known.at) > self.settings.max_age);
        state
    }

    /// Reads everything again; ends soon after `until`. A caller that waited for another's refresh uses its result.
    pub async fn refresh(&self, until: Instant) {
        let called = Instant::now();
        let Ok(_guard) = timeout_at(until, self.refreshing.lock()).await else { return };
        if self.state.lock().refreshed.is_some_and(|at| at >= called) {
            return;
        }
        let began = Instant::now();
        let mut attempt = RefreshAttempt { repository: self, until, problems: BackupProblems::new() };
        let known = attempt.contents().await;
        let known = attempt.unless_problem(DocumentPart::Information, known);
        let verified = attempt.verified().await;
        let mut problems = attempt.problems;
        for problem in problems.values_mut() {
            let message = run::without_secrets(&problem.message, &self.settings.env);
            problem.message = truncate::message(&message).to_string();
        }
        self.log_changes(&problems);
        let mut state = self.state.lock();
        if let Some(known) = known {
            state.malformed += known.contents.malformed;
            state.known = Some(known);
        }
        state.verified = verified.or(state.verified);
        (state.problems, state.took, state.refreshed) = (problems, Some(began.elapsed()), Some(Instant::now()));
    }

    /// Logs new problems, and the end of earlier ones.
    fn log_changes(&self, problems: &BackupProblems) {
        let (repository, state, now) = (&self.settings.name, self.state.lock(), Instant::now());
        for (part, problem) in problems {
            if state.problems.get(part).is_none_or(|before| before.reason != problem.reason)
                && let Some(held) = self.logged.say((*part, Some(problem.reason)), now)
            {
                warn!(repository, part = part.into_str(), "unknown: {problem}{held}");
            }
        }
        for (part, before) in state.problems.iter().filter(|(part, _)| !problems.contains_key(part)) {
            if before.reason != BackupReason::Pending
                && let Some(held) = self.logged.say((*part, None), now)
            {
                info!(repository, part = part.into_str(), "known again{held}");
            }
        }
    }
}

/// One attempt to read everything. Each part can fail without the others.
struct RefreshAttempt<'r> {
    repository: &'r Repository,
    until: Instant,
    problems: BackupProblems,
}

impl RefreshAttempt<'_> {
    /// The value, or `None` after recording the problem of this part.
    fn unless_problem<T>(&mut self, part: DocumentPart, result: Result<T, BackupProblem>) -> Option<T> {
        result.map_err(|problem| self.problems.insert(part, problem)).ok()
    }

    async fn contents(&mut self) -> Result<DatedContents, BackupProblem> {
        let settings = &self.repository.settings;
        let (mut contents, at) = match &settings.tool {
            Tool::PgBackRest { stanza, info, .. } => {
                let (bytes, at) = self.read(info).await?;
                (pgbackrest::parse(&bytes, &settings.name, stanza.as_deref())?, at)
            }
            Tool::Barman { server, diagnose } => {
                let (bytes, at) = self.read(diagnose).await?;
                (barman::parse(&bytes, server.as_deref(), unix_seconds(at).unwrap_or_default())?, at)
            }
            Tool::WalG { list, wal } => {
                let (bytes, at) = self.read(list).await?;
                let mut contents = walg::parse(&bytes)?;
                drop(bytes);
                if let Some(wal) = wal {
                    let read = self.read(wal).await;
                    let added = read.and_then(|(bytes, _)| walg::add_wal(&mut contents, &bytes));
                    self.unless_problem(DocumentPart::Wal, added);
                }
                (contents, at)
            }
            Tool::Files(files) => {
                let (path, files) = (files.pattern.clone(), files.clone());
                let list = self.look(&self.repository.reading, path.as_ref(), move |_| files::list(&files));
                (list.await?, SystemTime::now())
            }
            Tool::S3(bucket) => (list_bucket(bucket, self.until).await?, SystemTime::now()),
        };
        contents.leave_out_future(unix_seconds(SystemTime::now()).unwrap_or_default());
        if !contents.unknown.is_empty() {
            let problem = BackupReason::Failed.because(contents.unknown.join("; "));
            self.problems.insert(DocumentPart::Information, problem);
        }
        if let Some(folder) = &settings.archive {
            self.add_archive(folder, &mut contents).await;
        }
        Ok(DatedContents { contents, at })
    }

    /// The bytes of a document, and when they were written.
    async fn read(&self, document: &DocumentSource) -> Result<(Vec<u8>, SystemTime), BackupProblem> {
        let Repository { settings, process, reading, .. } = self.repository;
        let path = match document {
            DocumentSource::Run(command) => {
                let bytes = run::run(command, &settings.env, process, self.until).await?;
                return Ok((bytes, SystemTime::now()));
            }
            DocumentSource::File(path) => path,
        };
        let (bytes, at) = self.look(reading, path, |path| files::read(path, OUTPUT_LIMIT)).await?;
        if bytes.trim_ascii().is_empty() {
            // Some tools write nothing and exit with 0 if they have no backups; but so does a job that fails.
            let message = format!("{} is empty: did the job that writes it fail?", path.display());
            return Err(BackupReason::Garbage.because(message));
        }
        check_age(path, at, settings.max_age)?;
        Ok((bytes, at))
    }

    /// Adds the gaps in the folder of archived WAL for each stanza with backups. If pgBackRest has several
    /// repositories, the folder belongs to the one named in the settings, or else to the first.
    async fn add_archive(&mut self, folder: &Path, contents: &mut RepositoryContents) {
        let key = match &self.repository.settings.tool {
            Tool::PgBackRest { repo, .. } => repo.unwrap_or(1).to_string(),
            _ => String::new(),
        };
        for stanza in contents.stanzas.iter_mut().filter(|stanza| stanza.repo_key == key) {
            let Some(newest) = stanza.newest() else { continue };
            let Some(begin) = self.unless_problem(DocumentPart::Archive, newest.wal_begin()) else { continue };
            let folder = folder.join(stanza.archive.as_deref().unwrap_or_default());
            let find_gaps = move |folder: &Path| archive::find_gaps(folder, begin);
            let archived = self.look(&self.repository.archive, &folder, find_gaps).await;
            if let Some(archived) = self.unless_problem(DocumentPart::Archive, archived) {
                stanza.gaps = Some(archived.gaps);
                stanza.archived = archived.last.and_then(unix_seconds);
            }
        }
    }

    /// When the marker of a tested restore was touched.
    async fn verified(&mut self) -> Option<SystemTime> {
        let path = self.repository.settings.verified.as_deref()?;
        let changed = self.look(&self.repository.verified, path, changed).await;
        self.unless_problem(DocumentPart::Verified, changed)
    }

    /// Reads from a filesystem, which may hang. Even after a tool has taken all the time there is a second left: the
    /// read is quick.
    async fn look<T: Send + 'static>(
        &self,
        pool: &BlockingPool,
        path: &Path,
        look: impl FnOnce(&Path) -> Result<T, BackupProblem> + Send + 'static,
    ) -> Result<T, BackupProblem> {
        let left = self.until.saturating_duration_since(Instant::now()).max(Duration::from_secs(1));
        let looked_at = path.to_owned();
        let looked = pool.call(left, move || look(&looked_at)).await;
        looked.unwrap_or_else(|| {
            let message = format!("{} did not answer: does its filesystem hang?", path.display());
            Err(BackupReason::Timeout.because(message))
        })
    }
}

#[cfg(feature = "s3")]
use crate::source::backup::s3::list_all as list_bucket;

/// The settings refuse a bucket in this case.
#[cfg(not(feature = "s3"))]
async fn list_bucket(_: &settings::S3, _: Instant) -> Result<RepositoryContents, BackupProblem> {
    Err(BackupReason::Missing.because("this pgvigil was built without the feature `s3`"))
}

/// When a file was changed; a time in the future is an error.
fn changed(path: &Path) -> Result<SystemTime, BackupProblem> {
    let changed = fs::metadata(path).and_then(|data| data.modified());
    let changed = changed.map_err(|error| BackupProblem::of_file(path, &error))?;
    if changed > SystemTime::now() + MOST_AHEAD {
        let message = format!("{} was changed more than a day in the future by this clock", path.display());
        return Err(BackupReason::Garbage.because(message));
    }
    Ok(changed)
}

fn check_age(path: &Path, at: SystemTime, max_age: Duration) -> Result<(), BackupProblem> {
    if distance_from_now(at) <= max_age {
        return Ok(());
    }
    let (path, age) = (path.display(), humantime::format_duration(max_age));
    let message = if at > SystemTime::now() {
        format!("{path} was written more than {age} in the future by this clock: whose clock is wrong?")
    } else {
        format!("{path} has not been written for more than {age}: does the job that writes it run?")
    };
    Err(BackupReason::Stale.because(message))
}

/// The distance of a time from now, past or future: a time far in the future is not current either.
fn distance_from_now(at: SystemTime) -> Duration {
    at.elapsed().unwrap_or_else(|ahead| ahead.duration())
}
