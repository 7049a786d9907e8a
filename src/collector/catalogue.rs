//! The Catalogue: all collectors, from the binary and from the user's folder, and so every possible metric.

use std::path::Path;
use std::sync::Arc;

use include_dir::{Dir, include_dir};

use crate::collector::naming_rules::MetricNames;
use crate::collector::{Collector, DATABASE_LABEL, Scope, load};
use crate::schema::files::FileSet;
use crate::schema::problem::{Place, Problems};
use crate::schema::{files, words};
use crate::settings::load::{Override, ReadSettings, Settings};

/// The collectors that are shipped.
static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/collectors");

/// The name and the text of each shipped file.
pub fn shipped() -> impl Iterator<Item = (&'static str, &'static str)> {
    let text = |file: &'static include_dir::File<'_>| Some((file.path().to_str()?, file.contents_utf8()?));
    EMBEDDED.files().filter(|file| files::is_yaml(file.path())).filter_map(text)
}

/// All collectors, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue {
    pub collectors: Vec<Arc<Collector>>,
}

impl Catalogue {
    /// The shipped collectors and those of a folder; a file of the same name replaces a shipped one.
    ///
    /// # Errors
    /// All problems of all files, except those of a replaced shipped file.
    pub fn load(folder: Option<&Path>) -> Result<Catalogue, Problems> {
        let mut problems = Problems::default();
        let mut files = embedded();
        if let Some(folder) = folder {
            files.extend(files::read_folder(folder, &mut problems));
        }
        Catalogue::parse(files, problems)
    }

    /// Collectors from pairs of a file's name and its text; of two with the same stem the later one is used.
    ///
    /// # Errors
    /// All problems of all files.
    pub fn from_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Catalogue, Problems> {
        let by_stem = |(file, text): (&str, &str)| (files::stem(file.as_ref()), (file.to_owned(), text.to_owned()));
        Catalogue::parse(files.into_iter().map(by_stem).collect(), Problems::default())
    }

    fn parse(files: FileSet, mut problems: Problems) -> Result<Catalogue, Problems> {
        let mut names = MetricNames::default();
        let collectors = files
            .iter()
            .filter_map(|(stem, (file, text))| load::collector(file, stem, text, &mut names, &mut problems))
            .map(Arc::new)
            .collect();
        problems.unless_any(Catalogue { collectors })
    }

    /// Applies the settings: overrides each collector, keeps those that are enabled, and refuses a label that a metric
    /// already has.
    ///
    /// # Errors
    /// All problems of the settings, and all of their values that do not fit the collectors.
    pub fn adjust(&self, (settings, mut problems): ReadSettings) -> Result<(Settings, Catalogue), Problems> {
        let mut collectors = self.collectors.clone();
        for change in &settings.overrides {
            match collectors.iter_mut().find(|collector| collector.name == change.key) {
                Some(collector) => apply(Arc::make_mut(collector), &change.value, &change.place, &mut problems),
                None => problems.add(&change.place, self.unknown(&change.key)),
            }
        }
        collectors.retain(|collector| collector.enabled);
        check_labels(&collectors, &settings.label_names, &mut problems);
        problems.unless_any((settings, Catalogue { collectors }))
    }

    fn unknown(&self, name: &str) -> String {
        let known = self.collectors.iter().map(|collector| collector.name.as_str());
        words::unknown("no collector", name, "there are", known)
    }

    /// The collector with this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Collector>> {
        self.collectors.iter().find(|collector| collector.name == name)
    }
}

/// The shipped files; a test checks that all of them are text.
fn embedded() -> FileSet {
    let named = |(name, text): (&str, &str)| (format!("collectors/{name}"), text.to_owned());
    shipped().map(|file| (files::stem(file.0.as_ref()), named(file))).collect()
}

fn apply(collector: &mut Collector, change: &Override, place: &Place, problems: &mut Problems) {
    collector.enabled = change.enabled.unwrap_or(collector.enabled);
    collector.ttl = change.ttl.unwrap_or(collector.ttl);
    collector.timeout = change.timeout.unwrap_or(collector.timeout);
    collector.max_rows = change.max_rows.unwrap_or(collector.max_rows);
    if collector.scope == Scope::Database && collector.ttl < load::IN_DATABASES_TTL {
        problems.add(place, "it is asked in each database: its `ttl` must be at least 60s");
    }
    if change.timeout.is_some() && (collector.is_quick() || collector.timeout.is_zero()) {
        problems.add(place, "a `timeout` (above 0s) is for slow collectors: give a `ttl` above 0s, or leave it out");
    }
}

/// A static label of a target must not be a label of a metric: the sample would have it twice.
fn check_labels(collectors: &[Arc<Collector>], names: &[(String, Place)], problems: &mut Problems) {
    for (label, place) in names {
        let queries = collectors.iter().flat_map(|c| c.queries.iter().map(move |query| (c, query)));
        let mut metrics = queries.flat_map(|(c, query)| query.metrics.iter().map(move |metric| (c, query, metric)));
        if let Some((collector, _, metric)) = metrics.find(|(_, query, m)| query.labels_of(m).contains(label)) {
            let (metric, collector) = (&metric.def.name, &collector.name);
            problems.add(place, format!("`{label}` is a label of {metric} ({collector}): choose another name"));
        } else if label == DATABASE_LABEL && collectors.iter().any(|collector| collector.scope == Scope::Database) {
            problems.add(place, "`datname` is the label of what is asked in each database: choose another name");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_file_is_read() {
        let files = EMBEDDED.files().filter(|file| files::is_yaml(file.path()));
        assert_eq!(embedded().len(), files.count());
        if let Err(problems) = Catalogue::load(None) {
            panic!("{problems}");
        }
    }
}
