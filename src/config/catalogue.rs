//! The Catalogue: all collectors, from the binary and from the user's folder. It is every metric there can be.

use std::{
    collections::BTreeMap,
    fs,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
};

use include_dir::{Dir, include_dir};

use super::{
    collector::Collector,
    load,
    problem::{Place, Problem, Problems},
    rules::Names,
    settings::{Override, Settings},
    words, yaml,
};

/// The collectors that are shipped.
static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/collectors");

/// All collectors, by name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Catalogue {
    pub collectors: Vec<Arc<Collector>>,
}

impl Catalogue {
    /// The shipped collectors and those of a folder; a file of the same name replaces a shipped one.
    ///
    /// # Errors
    /// All problems of all files; those of a shipped file that is replaced do not count.
    pub fn load(folder: Option<&Path>) -> Result<Catalogue, Problems> {
        let mut files = BTreeMap::new();
        let mut problems = Problems::default();
        for file in EMBEDDED.files().filter(|file| is_yaml(file.path())) {
            let path = Path::new("collectors").join(file.path());
            insert(&mut files, path, file.contents_utf8().map(str::to_owned), &mut problems);
        }
        if let Some(folder) = folder {
            files.extend(read_folder(folder, &mut problems));
        }
        Catalogue::parse(files, problems)
    }

    /// Collectors from pairs of a file's name and its text; of two with the same stem the later counts.
    ///
    /// # Errors
    /// All problems of all files.
    pub fn from_files<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Catalogue, Problems> {
        let mut stems = BTreeMap::new();
        for (file, text) in files {
            stems.insert(stem(Path::new(file)), (file.to_owned(), text.to_owned()));
        }
        Catalogue::parse(stems, Problems::default())
    }

    fn parse(files: Files, mut problems: Problems) -> Result<Catalogue, Problems> {
        let mut names = Names::default();
        let collectors = files
            .iter()
            .filter_map(|(stem, (file, text))| load::collector(file, stem, text, &mut names, &mut problems))
            .map(Arc::new)
            .collect();
        problems.unless_any(Catalogue { collectors })
    }

    /// Applies what the settings change: overrides per collector, and no label that a metric already has.
    ///
    /// # Errors
    /// Everything in the settings that does not fit the collectors.
    pub fn adjust(&self, settings: &Settings) -> Result<Catalogue, Problems> {
        let mut problems = Problems::default();
        let mut collectors = self.collectors.clone();
        for change in &settings.overrides {
            match collectors.iter_mut().find(|collector| collector.name == change.collector) {
                Some(collector) => apply(Arc::make_mut(collector), change, &mut problems),
                None => problems.add(&change.place, self.unknown(&change.collector)),
            }
        }
        let off = |name: &str| settings.overrides.iter().any(|change| change.collector == name && !change.enabled);
        collectors.retain(|collector| !off(&collector.name));
        check_labels(&collectors, &settings.label_names, &mut problems);
        problems.unless_any(Catalogue { collectors })
    }

    fn unknown(&self, name: &str) -> String {
        let known = || self.collectors.iter().map(|collector| collector.name.as_str());
        match words::nearest(name, known()) {
            Some(near) => format!("no collector `{name}`: did you mean `{near}`?"),
            None => format!("no collector `{name}`: there are {}", words::listed(known())),
        }
    }

    /// The collector with this name.
    pub fn get(&self, name: &str) -> Option<&Arc<Collector>> {
        self.collectors.iter().find(|collector| collector.name == name)
    }
}

fn apply(collector: &mut Collector, change: &Override, problems: &mut Problems) {
    collector.ttl = change.ttl.unwrap_or(collector.ttl);
    collector.timeout = change.timeout.unwrap_or(collector.timeout);
    collector.max_rows = change.max_rows.unwrap_or(collector.max_rows);
    if change.timeout.is_some() && (collector.is_quick() || collector.timeout.is_zero()) {
        problems.add(
            &change.place,
            "a `timeout` (above 0s) is for slow collectors: give a `ttl` above 0s, or leave it out",
        );
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
        }
    }
}

/// Stem -> the file's name for messages, and its text.
type Files = BTreeMap<String, (String, String)>;

fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// Adds a file, if it could be read and no other file (`.yml` beside `.yaml`) has its stem.
fn insert(files: &mut Files, path: PathBuf, text: Option<String>, problems: &mut Problems) {
    let file = path.to_string_lossy().into_owned();
    let start = Place::start(&file);
    let Some(text) = text else { return problems.add(&start, "the file is no UTF-8 text") };
    if let Some((other, _)) = files.get(&stem(&path)) {
        return problems.add(&start, format!("{other} is the same collector: keep one of the two"));
    }
    files.insert(stem(&path), (file, text));
}

fn read_folder(folder: &Path, problems: &mut Problems) -> Files {
    let mut files = Files::new();
    let entries = fs::read_dir(folder).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
    let mut paths: Vec<PathBuf> = entries.unwrap_or_else(|error| {
        problems.add(&Place::start(&folder.to_string_lossy()), format!("the folder cannot be read: {error}"));
        Vec::new()
    });
    paths.sort();
    for path in paths.into_iter().filter(|path| is_yaml(path)) {
        match read_file(&path) {
            Ok(text) => insert(&mut files, path, Some(text), problems),
            Err(problem) => problems.add(&problem.place, problem.message),
        }
    }
    files
}

/// The text of a file, read no further than a configuration may be long.
pub(super) fn read_file(path: &Path) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    let limit = yaml::MAX_BYTES as u64 + 1;
    let problem = |message| Problem { place: Place::start(&path.to_string_lossy()), message };
    fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut bytes))
        .map_err(|error| problem(format!("the file cannot be read: {error}")))?;
    if bytes.len() > yaml::MAX_BYTES {
        return Err(problem("the file is larger than 1 MiB: split it".into()));
    }
    String::from_utf8(bytes).map_err(|_| problem("the file is no UTF-8 text".into()))
}
