//! The configuration in force: loaded at the start, loaded again on demand or when its files change, and never
//! replaced by one that is broken.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    panic::resume_unwind,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use parking_lot::RwLock;
use tokio::{sync::Mutex as AsyncMutex, task::spawn_blocking, time::sleep};
use tracing::{error, info};

use crate::{
    config::{catalogue::Catalogue, files, problem::Problems, settings::Settings},
    engine::Engine,
    own::Process,
};

/// How often the files are looked at.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// Where the configuration comes from.
#[derive(Clone, Debug)]
pub struct Files {
    /// The settings; without it they come from the environment.
    pub settings: Option<PathBuf>,
    /// The user's own collectors.
    pub collectors: Option<PathBuf>,
}

impl Files {
    /// Reads and checks everything.
    ///
    /// # Errors
    /// All problems of all files at once.
    pub fn load(&self) -> Result<(Settings, Catalogue), Problems> {
        let settings = Settings::load(self.settings.as_deref(), &|name| std::env::var(name).ok());
        let catalogue = Catalogue::load(self.collectors.as_deref());
        match (settings, catalogue) {
            (Ok(settings), Ok(catalogue)) => catalogue.adjust(&settings).map(|adjusted| (settings, adjusted)),
            (Err(settings), Err(catalogue)) => Err(settings.and(catalogue)),
            (Err(problems), _) | (_, Err(problems)) => Err(problems),
        }
    }

    /// Differs when a load would read something else, whatever the files' time stamps say. What is no regular file,
    /// such as a pipe, is not looked into: it can be read only once.
    fn fingerprint(&self) -> u64 {
        let folder = self.collectors.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
        let mut paths: Vec<_> = folder.map(|entry| entry.path()).filter(|path| files::is_yaml(path)).collect();
        paths.sort();
        let mut hasher = DefaultHasher::new();
        for path in self.settings.iter().chain(&paths) {
            let is_file = fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
            let text = is_file.then(|| files::read(path).map_err(|problem| problem.message));
            (path, text).hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// The engine in force, and how to replace it.
pub struct Live {
    files: Files,
    engine: RwLock<Arc<Engine>>,
    process: Arc<Process>,
    /// The fingerprint of what was loaded last, well or not; held while files are read.
    loaded: Arc<AsyncMutex<u64>>,
}

impl Live {
    /// The configuration as it is now, to be replaced when it changes.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub fn start(files: Files) -> Result<Arc<Self>, Problems> {
        // Before the load: what changes meanwhile is loaded again, rather than missed.
        let loaded = Arc::new(AsyncMutex::new(files.fingerprint()));
        let process = Arc::new(Process::default());
        let engine = RwLock::new(Arc::new(engine(&files, process.clone())?));
        Ok(Arc::new(Live { files, engine, process, loaded }))
    }

    /// An engine for one use.
    ///
    /// # Errors
    /// Everything that is wrong with the configuration.
    pub fn once(files: &Files) -> Result<Engine, Problems> {
        engine(files, Arc::default())
    }

    pub fn engine(&self) -> Arc<Engine> {
        self.engine.read().clone()
    }

    /// Loads the configuration again. If it is broken, what is in force stays.
    ///
    /// # Errors
    /// Everything that is wrong with it; it has been logged too.
    pub async fn reload(self: &Arc<Self>) -> Result<(), Problems> {
        self.with_files(|live, loaded| {
            *loaded = live.files.fingerprint();
            live.load_again()
        })
        .await
    }

    /// Loads again whenever the content of the files changes. Does not end.
    pub async fn watch(self: Arc<Self>) {
        loop {
            sleep(WATCH_EVERY).await;
            self.with_files(|live, loaded| {
                let found = live.files.fingerprint();
                if std::mem::replace(loaded, found) != found {
                    // What went wrong has been logged.
                    _ = live.load_again();
                }
            })
            .await;
        }
    }

    /// Reads files in a thread of its own, one at a time: a mount that hangs stops nothing else.
    async fn with_files<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Self, &mut u64) -> T + Send + 'static,
    ) -> T {
        let mut loaded = self.loaded.clone().lock_owned().await;
        let live = self.clone();
        match spawn_blocking(move || work(&live, &mut loaded)).await {
            Ok(result) => result,
            Err(error) => resume_unwind(error.into_panic()),
        }
    }

    fn load_again(&self) -> Result<(), Problems> {
        let result = self.files.load();
        self.process.reloaded(result.is_ok());
        match result {
            Ok((settings, catalogue)) => {
                let engine = Engine::new(settings, catalogue, self.process.clone(), Some(&self.engine()));
                info!(targets = engine.targets.len(), "configuration loaded again");
                *self.engine.write() = Arc::new(engine);
                Ok(())
            }
            Err(problems) => {
                error!("configuration not loaded, the old one stays in force:\n{problems}");
                Err(problems)
            }
        }
    }
}

fn engine(files: &Files, process: Arc<Process>) -> Result<Engine, Problems> {
    let (settings, catalogue) = files.load()?;
    Ok(Engine::new(settings, catalogue, process, None))
}
