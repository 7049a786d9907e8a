//! Reads the settings, from a file or from the environment.

use std::path::Path;
use std::time::Duration;

use crate::declare;
use crate::schema::problem::{Place, Problem, Problems};
use crate::schema::reader::{Entry, Env, Reader};
use crate::schema::values::{duration, entries, flag, map, positive_duration, whole};
use crate::schema::{files, words, yaml};
use crate::settings::targets::{LimitKeys, RowLimits, TargetKeys, TargetSettings, targets};
use crate::settings::{env, thresholds};

/// The most rows a query may keep.
pub const MAX_ROWS: usize = 1_000_000;

/// The whole content of `pgvigil.yaml`, or of the environment.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How long a scrape may take if the scraper does not say.
    pub scrape_timeout: Duration,
    pub targets: Vec<TargetSettings>,
    /// What differs from the collectors' files, by collector; [`crate::collector::catalogue::Catalogue::adjust`] applies it.
    pub overrides: Vec<Entry<Override>>,
    /// The names of all static labels, each with its place.
    pub label_names: Vec<(String, Place)>,
    /// What in the file may be a mistake, for `pgvigil check`.
    pub notes: Vec<Problem>,
}

declare! {
    pub struct SettingsKeys: "the settings file" {
        /// The servers to watch.
        targets: Option<Vec<TargetKeys>> = targets().tolerant(),
        /// How long a scrape may take where the scraper does not say (Prometheus does); 10s if left out.
        scrape_timeout: Duration = positive_duration().or(SCRAPE_TIMEOUT),
        /// By collector, what differs from its file, on all targets.
        collectors: Vec<Entry<Override>> =
            entries(words::SNAKE, |_| Ok(()), map().or(Override::default())).or(Vec::new()),
        ..limits: LimitKeys,
    }
}

declare! {
    /// What the settings change in one collector.
    #[derive(Clone, Debug, Default, PartialEq)]
    pub struct Override: "what a collector overrides" {
        /// `false`: it is not asked at all. `true`: it is, even if its file says it is off.
        enabled: Option<bool> = flag().optional(),
        /// How old a result may be before it is asked for again; `0s`: asked on each scrape.
        ttl: Option<Duration> = duration().optional(),
        /// The limit on the server, for collectors with a `ttl`.
        timeout: Option<Duration> = duration().optional(),
        /// Rows kept of each query; what is cut is counted.
        max_rows: Option<usize> = whole(1..=MAX_ROWS).optional(),
    }
}

const SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);

/// The settings as far as they can be read, and their problems. No message repeats a value that may be a secret.
pub type ReadSettings = (Settings, Problems);

impl Settings {
    /// Reads the settings from a file, or if none is given from the environment.
    pub fn load(file: Option<&Path>, env: &Env<'_>) -> ReadSettings {
        match file.map(|path| (path, files::read(path))) {
            Some((path, Ok(text))) => Settings::read(&path.to_string_lossy(), &text, env),
            Some((_, Err(problem))) => (Settings::default(), problem.into()),
            None => {
                let mut problems = Problems::default();
                let targets = env::targets(env, &mut problems);
                (Settings { targets, ..Settings::default() }.with_shipped_thresholds(), problems)
            }
        }
    }

    /// Reads the settings from the text of a file.
    pub fn read(file: &str, text: &str, env: &Env<'_>) -> ReadSettings {
        let mut problems = Problems::default();
        let root = yaml::parse(file, text, &mut problems);
        let reader = &mut Reader::of_settings(env, &mut problems);
        let keys = root.and_then(|root| map().read(&root, "the file", reader));
        let settings = keys.map(SettingsKeys::settings).unwrap_or_default().with_shipped_thresholds();
        (Settings { notes: problems.take_notes(), ..settings }, problems)
    }

    /// The same, if there are no problems.
    ///
    /// # Errors
    /// All problems.
    pub fn parse(file: &str, text: &str, env: &Env<'_>) -> Result<Settings, Problems> {
        let (settings, problems) = Settings::read(file, text, env);
        problems.unless_any(settings)
    }

    fn with_shipped_thresholds(mut self) -> Settings {
        // That they can be read, a test holds.
        let shipped = thresholds::shipped().unwrap_or_default();
        for target in &mut self.targets {
            target.thresholds = thresholds::merged(&shipped, &target.endpoint, &target.thresholds);
        }
        self
    }
}

impl SettingsKeys {
    fn settings(self) -> Settings {
        let of_all = self.limits.or(RowLimits::default());
        let targets = self.targets.unwrap_or_default();
        let labels = targets.iter().flat_map(|target| &target.labels);
        Settings {
            scrape_timeout: self.scrape_timeout,
            label_names: labels.map(|label| (label.key.clone(), label.place.clone())).collect(),
            targets: targets.into_iter().filter_map(|target| target.target(of_all)).collect(),
            overrides: self.collectors,
            notes: Vec::new(),
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            scrape_timeout: SCRAPE_TIMEOUT,
            targets: Vec::new(),
            overrides: Vec::new(),
            label_names: Vec::new(),
            notes: Vec::new(),
        }
    }
}
