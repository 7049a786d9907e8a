//! One repository: asks for what is known of it, and remembers that while it is good.
//!
//! What was known stays when nothing new comes, until it is `max_age` old: that a backup is old must not be hidden by a tool
//! that fails. That the tool fails is said at once.

use std::{
    collections::BTreeMap,
    path::Path,
    time::{Duration, SystemTime},
};

use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};
use tracing::{info, warn};

use crate::{
    log_limit::LogLimit,
    settings,
    settings::{Document, DocumentPart, DocumentSource, Tool},
    source::{
        backup::{
            archive, barman, files, pgbackrest,
            problem::{BackupProblem, BackupReason},
            run,
            run::{OUTPUT_LIMIT, Turn},
            tool_tables::{MOST_AHEAD, RepositoryContents},
            walg,
        },
        blocking_pool::BlockingPool,
        sections::unix_seconds,
    },
    truncate,
};

/// A repository, and what is known of it.
pub struct Repository {
    pub settings: settings::RepositorySettings,
    /// One refresh at a time.
    turn: tokio::sync::Mutex<()>,
    /// One child process at a time, until it is gone.
    running: Turn,
    reading: BlockingPool,
    archive: BlockingPool,
    verified: BlockingPool,
    state: Mutex<RepositoryState>,
    /// What the log has said of each part: why it is not known, or (`None`) that it is.
    told: LogLimit<(DocumentPart, Option<BackupReason>)>,
}

/// What is known, and what is not.
#[derive(Clone, Default)]
pub struct RepositoryState {
    pub known: Option<CachedFindings>,
    pub problems: BTreeMap<DocumentPart, BackupProblem>,
    /// Values that made no sense, in all that was read.
    pub odd: u64,
    /// When the marker of a tested restore was touched.
    pub verified: Option<SystemTime>,
    /// How long the last attempt took.
    pub took: Option<Duration>,
    refreshed: Option<Instant>,
}

/// What was found, and when it was true.
#[derive(Clone)]
pub struct CachedFindings {
    pub found: RepositoryContents,
    pub at: SystemTime,
}

/// A document, and when it was true.
type DocumentResult = Result<(Vec<u8>, SystemTime), BackupProblem>;

impl Repository {
    pub fn new(settings: settings::RepositorySettings) -> Self {
        let pending = BackupProblem::new(BackupReason::Pending, "no answer yet");
        let state = RepositoryState {
            problems: BTreeMap::from([(DocumentPart::Information, pending)]),
            ..RepositoryState::default()
        };
        Repository {
            settings,
            turn: tokio::sync::Mutex::default(),
            running: Turn::default(),
            reading: BlockingPool::default(),
            archive: BlockingPool::default(),
            verified: BlockingPool::default(),
            state: Mutex::new(state),
            told: LogLimit::default(),
        }
    }

    /// What is known now. What is too old is known no more.
    pub fn state(&self) -> RepositoryState {
        let mut state = self.state.lock().clone();
        state.known.take_if(|known| away(known.at) > self.settings.max_age);
        state
    }

    /// Asks again; ends soon after `until`. Who waited while another asked takes what that brought.
    pub async fn refresh(&self, until: Instant) {
        let began = Instant::now();
        let Ok(_turn) = timeout_at(until, self.turn.lock()).await else { return };
        if self.state.lock().refreshed.is_some_and(|at| at >= began) {
            return;
        }
        let (mut problems, began) = (BTreeMap::new(), Instant::now());
        let known = match self.find(until, &mut problems).await {
            Ok(known) => Some(known),
            Err(problem) => {
                problems.insert(DocumentPart::Information, problem);
                None
            }
        };
        let verified = self.look_verified(until, &mut problems).await;
        for problem in problems.values_mut() {
            problem.message =
                truncate::message(&run::without_secrets(&problem.message, &self.settings.env)).to_string();
        }
        self.tell(&problems);
        let mut state = self.state.lock();
        if let Some(known) = known {
            state.odd += known.found.odd;
            state.known = Some(known);
        }
        state.verified = verified.or(state.verified.filter(|_| self.settings.verified.is_some()));
        (state.problems, state.took, state.refreshed) = (problems, Some(began.elapsed()), Some(Instant::now()));
    }

    async fn find(
        &self,
        until: Instant,
        problems: &mut BTreeMap<DocumentPart, BackupProblem>,
    ) -> Result<CachedFindings, BackupProblem> {
        let mut known = match &self.settings.tool {
            Tool::Files(settings) => {
                let settings = settings.clone();
                let found = self.reading.call(left(until), move || files::look(&settings)).await;
                CachedFindings { found: found.unwrap_or_else(|| Err(hung("the folder")))?, at: SystemTime::now() }
            }
            Tool::S3(settings) => {
                let found = bucket(settings, until).await?;
                CachedFindings { found, at: SystemTime::now() }
            }
            _ => self.find_documents(until, problems).await?,
        };
        known.found.leave_out_future(unix_seconds(SystemTime::now()).unwrap_or_default());
        if !known.found.unknown.is_empty() {
            problems.insert(
                DocumentPart::Information,
                BackupProblem::new(BackupReason::Failed, known.found.unknown.join("; ")),
            );
        }
        if let Some(folder) = &self.settings.archive {
            self.look_archive(folder, &mut known.found, until, problems).await;
        }
        Ok(known)
    }

    async fn find_documents(
        &self,
        until: Instant,
        problems: &mut BTreeMap<DocumentPart, BackupProblem>,
    ) -> Result<CachedFindings, BackupProblem> {
        let mut known: Option<CachedFindings> = None;
        for document in &self.settings.documents {
            let read = self.read(document, until).await;
            match &mut known {
                None => {
                    let (bytes, at) = read?;
                    known = Some(CachedFindings { found: self.parse(&bytes, at)?, at });
                }
                Some(known) => {
                    if let Err(problem) = read.and_then(|(bytes, _)| walg::add_wal(&mut known.found, &bytes)) {
                        problems.insert(document.part, problem);
                    }
                }
            }
        }
        known.ok_or_else(|| BackupProblem::new(BackupReason::Missing, "there is nothing to ask"))
    }

    fn parse(&self, bytes: &[u8], at: SystemTime) -> Result<RepositoryContents, BackupProblem> {
        match &self.settings.tool {
            Tool::PgBackRest { stanza, .. } => pgbackrest::parse(bytes, &self.settings.name, stanza.as_deref()),
            Tool::Barman { server } => barman::parse(bytes, server.as_deref(), unix_seconds(at).unwrap_or_default()),
            _ => walg::parse(bytes),
        }
    }

    async fn read(&self, document: &Document, until: Instant) -> DocumentResult {
        match &document.ask {
            DocumentSource::Run(command) => {
                let bytes = run::run(command, &self.settings.env, &self.running, until).await?;
                Ok((bytes, SystemTime::now()))
            }
            DocumentSource::File(path) => {
                let (file, max_age) = (path.clone(), self.settings.max_age);
                let read = self.reading.call(left(until), move || files::read(&file, OUTPUT_LIMIT)).await;
                let (bytes, at) = read.unwrap_or_else(|| Err(hung(&path.display().to_string())))?;
                if bytes.iter().all(u8::is_ascii_whitespace) {
                    // Some tools say nothing where they have nothing, and end well; of a job that failed this is left.
                    let message = format!("{} is empty: did the job that writes it fail?", path.display());
                    return Err(BackupProblem::new(BackupReason::Garbage, message));
                }
                match away(at) > max_age {
                    true => Err(stale(path, at, max_age)),
                    false => Ok((bytes, at)),
                }
            }
        }
    }

    /// What the folder of the archive shows of each stanza that has backups. Of several repositories of pgBackRest it is
    /// that of the one named, or else the first.
    async fn look_archive(
        &self,
        folder: &Path,
        found: &mut RepositoryContents,
        until: Instant,
        problems: &mut BTreeMap<DocumentPart, BackupProblem>,
    ) {
        let key = match &self.settings.tool {
            Tool::PgBackRest { repo, .. } => repo.unwrap_or(1).to_string(),
            _ => String::new(),
        };
        for stanza in found.stanzas.iter_mut().filter(|stanza| stanza.repo_key == key) {
            let Some(newest) = stanza.newest() else { continue };
            let Some(begin) = newest.wal.as_deref().and_then(archive::segment) else {
                let message = "the newest backup does not say where its WAL begins";
                problems.insert(DocumentPart::Archive, BackupProblem::new(BackupReason::Garbage, message));
                continue;
            };
            let folder = folder.join(stanza.archive.as_deref().unwrap_or_default());
            let shown = folder.display().to_string();
            let at = folder.clone();
            match self.archive.call(left(until), move || archive::look(&at, begin)).await {
                Some(Ok((gaps, last))) => {
                    stanza.gaps = Some(gaps);
                    stanza.archived = last.and_then(unix_seconds);
                }
                Some(Err(error)) => _ = problems.insert(DocumentPart::Archive, BackupProblem::of_file(&folder, &error)),
                None => _ = problems.insert(DocumentPart::Archive, hung(&shown)),
            }
        }
    }

    async fn look_verified(
        &self,
        until: Instant,
        problems: &mut BTreeMap<DocumentPart, BackupProblem>,
    ) -> Option<SystemTime> {
        let path = self.settings.verified.clone()?;
        let at = path.clone();
        let looked =
            self.verified.call(left(until), move || std::fs::metadata(&at).and_then(|data| data.modified())).await;
        let problem = match looked {
            Some(Ok(time)) if time > SystemTime::now() + MOST_AHEAD => {
                let message = format!("{} was changed more than a day in the future by this clock", path.display());
                BackupProblem::new(BackupReason::Garbage, message)
            }
            Some(Ok(time)) => return Some(time),
            Some(Err(error)) => BackupProblem::of_file(&path, &error),
            None => hung(&path.display().to_string()),
        };
        problems.insert(DocumentPart::Verified, problem);
        None
    }

    /// Says what is new about what is not known.
    fn tell(&self, problems: &BTreeMap<DocumentPart, BackupProblem>) {
        let (repository, state, now) = (&self.settings.name, self.state.lock(), Instant::now());
        for (part, problem) in problems {
            if state.problems.get(part).is_none_or(|before| before.why != problem.why)
                && let Some(held) = self.told.say((*part, Some(problem.why)), now)
            {
                warn!(repository, part = part.word(), "not known: {problem}{held}");
            }
        }
        for (part, before) in state.problems.iter().filter(|(part, _)| !problems.contains_key(part)) {
            if before.why != BackupReason::Pending
                && let Some(held) = self.told.say((*part, None), now)
            {
                info!(repository, part = part.word(), "known again{held}");
            }
        }
    }
}

#[cfg(feature = "s3")]
use crate::source::backup::s3::look as bucket;

/// The settings refuse it then.
#[cfg(not(feature = "s3"))]
async fn bucket(_: &settings::S3, _: Instant) -> Result<RepositoryContents, BackupProblem> {
    Err(BackupProblem::new(BackupReason::Missing, "this pgvigil was built without the feature `s3`"))
}

/// What is left of the time, and at least a moment: a look at a folder is quick, even where a tool took all the time.
fn left(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()).max(Duration::from_secs(1))
}

fn hung(what: &str) -> BackupProblem {
    BackupProblem::new(BackupReason::Timeout, format!("{what} did not answer: does its filesystem hang?"))
}

fn stale(path: &Path, at: SystemTime, max_age: Duration) -> BackupProblem {
    let (path, age) = (path.display(), humantime::format_duration(max_age));
    let message = match at > SystemTime::now() {
        true => format!("{path} was written more than {age} in the future by this clock: whose clock is wrong?"),
        false => format!("{path} has not been written for more than {age}: does the job that writes it run?"),
    };
    BackupProblem::new(BackupReason::Stale, message)
}

/// How far a time is from now, on either side: what is as far in the future says as little about now.
fn away(at: SystemTime) -> Duration {
    at.elapsed().unwrap_or_else(|ahead| ahead.duration())
}
