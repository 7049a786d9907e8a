//! The configuration in force: loaded at start, reloaded on demand or when its files change, and never replaced by an
//! invalid one.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::spawn_blocking;
use tokio::time::sleep;
use tracing::{error, info};
use zeroize::Zeroizing;

use crate::access::WebAccess;
use crate::collector::catalogue::Catalogue;
use crate::schema::files;
use crate::schema::problem::Problems;
use crate::scrape::engine::Engine;
use crate::scrape::self_metrics::Process;
use crate::settings::Settings;
use crate::settings::interpolate::expand;
use crate::settings::web::named_files;

/// How often the files are checked for changes.
const WATCH_EVERY: Duration = Duration::from_secs(5);

/// The files of the configuration.
#[derive(Clone, Debug)]
pub struct ConfigPaths {
    /// The settings; `None` takes them from the environment.
    pub settings: Option<PathBuf>,
    /// The user's own collectors.
    pub collectors: Option<PathBuf>,
    /// The web configuration: TLS and users of our own pages.
    pub web: Option<PathBuf>,
}

/// The loaded content of all files.
pub struct LoadedConfig {
    pub settings: Settings,
    pub catalogue: Catalogue,
    pub web: WebAccess,
}

impl ConfigPaths {
    /// Reads and checks everything. Unchanged parts of the web configuration `before` are taken over.
    ///
    /// # Errors
    /// All problems of all files at once.
    pub fn load(&self, before: Option<&WebAccess>) -> Result<LoadedConfig, Problems> {
        let settings = Settings::load(self.settings.as_deref(), &|name| std::env::var(name).ok());
        let catalogue = Catalogue::load(self.collectors.as_deref());
        let web = WebAccess::load(self.web.as_deref(), before);
        let adjusted = match catalogue {
            Ok(catalogue) => catalogue.adjust(settings),
            Err(problems) => Err(problems.and(settings.1)),
        };
        match (adjusted, web) {
            (Ok((settings, catalogue)), Ok(web)) => Ok(LoadedConfig { settings, catalogue, web }),
            (adjusted, web) => {
                let all = [adjusted.err(), web.err()];
                Err(all.into_iter().flatten().fold(Problems::default(), Problems::and))
            }
        }
    }

    /// Changes when a load would read something else, independent of the files' time stamps. Only regular files are
    /// read: a pipe can be read only once.
    fn fingerprint(&self) -> u64 {
        let folder = self.collectors.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten();
        let mut paths: Vec<_> = folder.map(|entry| entry.path()).filter(|path| files::is_yaml(path)).collect();
        paths.sort();
        if let Some(settings) = &self.settings
            && let Ok(text) = text(settings)
        {
            paths.extend(url_files(&text));
        }
        if let Some(web) = &self.web
            && let Ok(text) = text(web)
        {
            paths.extend(named_files(web, &text));
        }
        let mut hasher = DefaultHasher::new();
        for path in self.settings.iter().chain(&self.web).chain(&paths) {
            text(path).as_deref().hash(&mut hasher);
            path.hash(&mut hasher);
        }
        hasher.finish()
    }
}

/// The files of URLs that these settings name. Files of passwords and certificates are not included: they are read
/// whenever they are needed.
fn url_files(settings: &str) -> Vec<PathBuf> {
    let named = files::named(settings, &["url_file"]).into_iter();
    named.filter_map(|file| expand(&file, &|name| std::env::var(name).ok()).ok()).map(PathBuf::from).collect()
}

/// The text of a regular file, or why it cannot be read.
fn text(path: &Path) -> Result<Zeroizing<String>, String> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_file() => files::read(path).map_err(|problem| problem.message),
        Ok(_) => Err("not a regular file".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// The engine and the web configuration in force, and how to replace them.
pub struct LiveConfig {
    files: ConfigPaths,
    engine: RwLock<Arc<Engine>>,
    web: RwLock<Arc<WebAccess>>,
    process: Arc<Process>,
    /// The fingerprint of the last load, successful or not; held while files are read.
    loaded: Arc<AsyncMutex<u64>>,
}

impl LiveConfig {
    /// Loads the configuration for the first time.
    ///
    /// # Errors
    /// All problems of the configuration.
    pub fn start(files: ConfigPaths) -> Result<Arc<Self>, Problems> {
        // Before the load: a change during the load causes another one, and is not missed.
        let loaded = Arc::new(AsyncMutex::new(files.fingerprint()));
        let process = Arc::new(Process::default());
        let LoadedConfig { settings, catalogue, web } = files.load(None)?;
        let engine = RwLock::new(Arc::new(Engine::new(settings, catalogue, process.clone(), None)));
        Ok(Arc::new(LiveConfig { files, engine, web: RwLock::new(Arc::new(web)), process, loaded }))
    }

    /// An engine for one use.
    ///
    /// # Errors
    /// All problems of the configuration.
    pub fn once(files: &ConfigPaths) -> Result<Engine, Problems> {
        let LoadedConfig { settings, catalogue, .. } = files.load(None)?;
        Ok(Engine::new(settings, catalogue, Arc::default(), None))
    }

    pub fn engine(&self) -> Arc<Engine> {
        self.engine.read().clone()
    }

    pub fn web(&self) -> Arc<WebAccess> {
        self.web.read().clone()
    }

    /// Loads the configuration again. If it is invalid, the one in force stays.
    ///
    /// # Errors
    /// All problems of the configuration; they are also logged.
    pub async fn reload(self: &Arc<Self>) -> Result<(), Problems> {
        self.load_again(false).await
    }

    /// Reloads whenever the content of the files changes. Never returns.
    pub async fn watch(self: Arc<Self>) {
        loop {
            sleep(WATCH_EVERY).await;
            // Problems have been logged.
            _ = self.load_again(true).await;
        }
    }

    /// Reads the files on a thread of its own, one at a time, so that a hanging mount blocks nothing else.
    async fn load_again(self: &Arc<Self>, if_changed: bool) -> Result<(), Problems> {
        let mut loaded = self.loaded.clone().lock_owned().await;
        let live = self.clone();
        let loading = spawn_blocking(move || {
            let found = live.files.fingerprint();
            let is_same = std::mem::replace(&mut *loaded, found) == found;
            if if_changed && is_same { Ok(()) } else { live.load() }
        });
        loading.await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
    }

    fn load(&self) -> Result<(), Problems> {
        let result = self.files.load(Some(&self.web()));
        self.process.reloaded(result.is_ok());
        let LoadedConfig { settings, catalogue, web } = result.inspect_err(|problems| {
            error!("configuration not loaded, the old one stays in force:\n{problems}");
        })?;
        let engine = Engine::new(settings, catalogue, self.process.clone(), Some(&self.engine()));
        info!(targets = engine.targets.len(), "configuration loaded again");
        *self.engine.write() = Arc::new(engine);
        *self.web.write() = Arc::new(web);
        Ok(())
    }
}
