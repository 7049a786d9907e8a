//! The configuration in force: loaded at the start, loaded again on demand or when its files change, and never
//! replaced by one that is broken.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use tokio::time::sleep;
use tracing::{error, info};

use crate::{
    config::{catalogue::Catalogue, problem::Problems, settings::Settings},
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

    /// Differs when the content of a file does, whatever its time stamps say.
    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let mut add = |path: &Path| (path, fs::read(path).ok()).hash(&mut hasher);
        if let Some(settings) = &self.settings {
            add(settings);
        }
        if let Some(folder) = &self.collectors {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
            paths.sort();
            paths.iter().for_each(|path| add(path));
        }
        hasher.finish()
    }
}

/// The engine in force, and how to replace it.
pub struct Live {
    files: Files,
    engine: RwLock<Arc<Engine>>,
    process: Arc<Process>,
    /// The fingerprint of what was loaded last, well or not; held while loading.
    loaded: Mutex<u64>,
}

impl Live {
    /// # Errors
    /// Everything that is wrong with the configuration.
    pub fn start(files: Files) -> Result<Arc<Self>, Problems> {
        let fingerprint = files.fingerprint();
        let (settings, catalogue) = files.load()?;
        let process = Arc::new(Process::default());
        let engine = Engine::new(settings, catalogue, process.clone(), None);
        Ok(Arc::new(Live { files, engine: RwLock::new(Arc::new(engine)), process, loaded: Mutex::new(fingerprint) }))
    }

    pub fn engine(&self) -> Arc<Engine> {
        self.engine.read().clone()
    }

    /// Loads the configuration again. If it is broken, what is in force stays.
    ///
    /// # Errors
    /// Everything that is wrong with it; it has been logged too.
    pub fn reload(&self) -> Result<(), Problems> {
        let mut loaded = self.loaded.lock();
        *loaded = self.files.fingerprint();
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

    /// Loads again whenever the content of the files changes. Does not end.
    pub async fn watch(self: Arc<Self>) {
        loop {
            sleep(WATCH_EVERY).await;
            if self.files.fingerprint() != *self.loaded.lock() {
                _ = self.reload();
            }
        }
    }
}
