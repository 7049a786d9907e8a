//! The settings as they are written, in a file or in the environment, read into what they mean.

use std::path::Path;

use crate::{
    collector::load::MAX_ROWS,
    schema::{
        fields::Fields,
        files,
        problem::{Place, Problems},
        shape::{Is, Shape, key},
        words, yaml,
        yaml::Node,
    },
    settings::{Override, Settings, env, interpolate::Env, targets, thresholds},
};

/// The settings file.
pub(crate) const SETTINGS: Shape = Shape {
    what: "the settings file",
    needs: &[key("targets", targets::TARGETS, "The servers to watch.")],
    may: &[
        key(
            "scrape_timeout",
            Is::Duration,
            "How long a scrape may take where the scraper does not say (Prometheus does); 10s if left out.",
        ),
        targets::MAX_BYTES,
        targets::MAX_SAMPLES,
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

/// The settings as far as they can be read, and all that is wrong with them. No message repeats a value that may be a secret.
pub type ReadSettings = (Settings, Problems);

impl Settings {
    /// Reads the settings from a file, or without one from the environment.
    pub fn load(file: Option<&Path>, env: &Env<'_>) -> ReadSettings {
        match file.map(|path| (path, files::read(path))) {
            Some((path, Ok(text))) => Settings::read(&path.to_string_lossy(), &text, env),
            Some((_, Err(told))) => (Settings::default(), told.into()),
            None => {
                let mut problems = Problems::default();
                let targets = env::targets(env, &mut problems);
                Settings { targets, ..Settings::default() }.with_shipped_thresholds(problems)
            }
        }
    }

    /// Reads the settings from the text of a file.
    pub fn read(file: &str, text: &str, env: &Env<'_>) -> ReadSettings {
        let mut problems = Problems::default();
        let root = yaml::parse(file, text, &mut problems);
        let settings = root.and_then(|root| read(&root, env, &mut problems)).unwrap_or_default();
        settings.with_shipped_thresholds(problems)
    }

    /// The same, if nothing is wrong.
    ///
    /// # Errors
    /// Everything that is.
    pub fn parse(file: &str, text: &str, env: &Env<'_>) -> Result<Settings, Problems> {
        let (settings, problems) = Settings::read(file, text, env);
        problems.unless_any(settings)
    }

    fn with_shipped_thresholds(mut self, mut problems: Problems) -> ReadSettings {
        match thresholds::shipped() {
            Ok(shipped) => {
                for target in &mut self.targets {
                    target.thresholds = thresholds::merged(&shipped, &target.endpoint, &target.thresholds);
                }
            }
            Err(told) => problems.add_all(told),
        }
        (self, problems)
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
        let mut told = Problems::default();
        let change = override_of(name, place, node, &mut told);
        // Of what cannot be read nothing follows: whether there is such a collector can be said all the same.
        let change = change.filter(|_| told.is_empty()).unwrap_or_else(|| Override::of(name, place));
        problems.add_all(told);
        Some(change)
    });
    Some(settings)
}

fn override_of(name: &str, place: &Place, node: &Node, problems: &mut Problems) -> Option<Override> {
    let mut fields = Fields::open(node, &OVERRIDE, problems)?;
    Some(Override {
        enabled: fields.flag("enabled"),
        ttl: fields.duration("ttl"),
        timeout: fields.duration("timeout"),
        max_rows: fields.whole("max_rows", 1..=MAX_ROWS),
        ..Override::of(name, place)
    })
}
