//! The settings as they are written, in a file or in the environment, read into what they mean.

use std::path::Path;

use super::{
    env,
    expand::Env,
    fields::Fields,
    files,
    load::MAX_ROWS,
    problem::Problems,
    settings::{Override, Settings},
    shape::{Is, Shape, key},
    targets, thresholds, words, yaml,
    yaml::Node,
};

/// The settings file.
pub(super) const SETTINGS: Shape = Shape {
    what: "the settings file",
    needs: &[key("targets", targets::TARGETS, "The servers to watch.")],
    may: &[
        key(
            "scrape_timeout",
            Is::Duration,
            "How long a scrape may take where the scraper does not say (Prometheus does); 10s if left out.",
        ),
        key(
            "collectors",
            Is::Entries(0, words::SNAKE, &Is::Map(&OVERRIDE)),
            "By collector, what differs from its file, on all targets.",
        ),
    ],
    quiet: true,
};

const OVERRIDE: Shape = Shape {
    what: "what a collector overrides",
    needs: &[],
    may: &[
        key("enabled", Is::Flag, "`false`: it is not asked at all. `true`: it is, even if its file says it is off."),
        key("ttl", Is::Duration, "How old a result may be before it is asked for again; `0s`: asked on each scrape."),
        key("timeout", Is::Duration, "The limit on the server, for collectors with a `ttl`."),
        key("max_rows", Is::Whole(1, MAX_ROWS), "Rows kept of each query; what is cut is counted."),
    ],
    quiet: true,
};

impl Settings {
    /// Reads the settings from a file, or without one from the environment.
    ///
    /// # Errors
    /// Everything that is wrong. No message repeats a value that may be a secret.
    pub fn load(file: Option<&Path>, env: &Env<'_>) -> Result<Settings, Problems> {
        match file {
            Some(path) => Settings::parse(&path.to_string_lossy(), &files::read(path)?, env),
            None => Settings::from_env(env),
        }
    }

    /// Reads the settings from the text of a file.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn parse(file: &str, text: &str, env: &Env<'_>) -> Result<Settings, Problems> {
        let mut problems = Problems::default();
        let root = yaml::parse(file, text, &mut problems);
        let settings = root.and_then(|root| read(&root, env, &mut problems)).unwrap_or_default();
        problems.unless_any(settings)?.with_shipped_thresholds()
    }

    fn from_env(env: &Env<'_>) -> Result<Settings, Problems> {
        let mut problems = Problems::default();
        let targets = env::targets(env, &mut problems);
        problems.unless_any(Settings { targets, ..Settings::default() })?.with_shipped_thresholds()
    }

    fn with_shipped_thresholds(mut self) -> Result<Settings, Problems> {
        let shipped = thresholds::shipped()?;
        for target in &mut self.targets {
            target.thresholds = thresholds::merged(&shipped, &target.thresholds);
        }
        Ok(self)
    }
}

fn read(root: &Node, env: &Env<'_>, problems: &mut Problems) -> Option<Settings> {
    let mut fields = Fields::open(root, &SETTINGS, problems)?;
    let mut settings = Settings::default();
    if let Some(timeout) = fields.duration("scrape_timeout") {
        settings.scrape_timeout = timeout;
        if timeout.is_zero() {
            fields.tell("scrape_timeout", "`scrape_timeout` must be above 0s");
        }
    }
    (settings.targets, settings.label_names) = targets::targets(&mut fields, env);
    settings.overrides = fields.entries("collectors", |name, place, node, problems| {
        let mut fields = Fields::open(node, &OVERRIDE, problems)?;
        Some(Override {
            collector: name.to_owned(),
            place: place.clone(),
            enabled: fields.flag("enabled"),
            ttl: fields.duration("ttl"),
            timeout: fields.duration("timeout"),
            max_rows: fields.whole("max_rows", 1..=MAX_ROWS),
        })
    });
    Some(settings)
}
