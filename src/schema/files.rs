//! Reading configuration files, none further than the largest allowed size.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use zeroize::Zeroizing;

use crate::schema::problem::{Place, Problem, Problems};
use crate::schema::yaml;
use crate::schema::yaml::MAX_BYTES;
use crate::secret;

/// YAML files by stem, so that one set can replace files of another: each with its name for messages, and its text.
pub type FileSet = BTreeMap<String, (String, String)>;

/// The text of a file. It is wiped from memory when dropped, since settings may hold passwords.
///
/// # Errors
/// The file cannot be read, is too large, or is not UTF-8.
pub fn read(path: &Path) -> Result<Zeroizing<String>, Problem> {
    let text = secret::read_text(path, MAX_BYTES, "the file is larger than 1 MiB: split it");
    text.map_err(|message| Problem { place: Place::whole(&path.to_string_lossy()), message })
}

/// The `.yaml` and `.yml` files of a folder.
pub fn read_folder(folder: &Path, problems: &mut Problems) -> FileSet {
    let paths = yaml_paths(folder).unwrap_or_else(|error| {
        problems.add(&Place::whole(&folder.to_string_lossy()), format!("the folder cannot be read: {error}"));
        Vec::new()
    });
    let mut files = FileSet::new();
    for path in paths {
        let file = path.to_string_lossy().into_owned();
        match (read(&path), files.get(&stem(&path))) {
            (Err(problem), _) => problems.add(&problem.place, problem.message),
            (Ok(_), Some((other, _))) => {
                problems.add(&Place::start(&file), format!("{other} is the same collector: keep one of the two"));
            }
            (Ok(text), None) => _ = files.insert(stem(&path), (file, text.to_string())),
        }
    }
    files
}

fn yaml_paths(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    paths.retain(|path| is_yaml(path));
    paths.sort();
    Ok(paths)
}

/// Whether a file's name ends in `.yaml` or `.yml`.
pub fn is_yaml(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml")
}

/// A file's name without folder and ending.
pub fn stem(path: &Path) -> String {
    path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

/// The values of these keys anywhere in a YAML text, as far as it can be read.
pub fn named(text: &str, keys: &[&str]) -> Vec<String> {
    let Some(root) = yaml::parse("", text, &mut Problems::default()) else { return Vec::new() };
    let (mut found, mut left) = (Vec::new(), vec![&root]);
    while let Some(node) = left.pop() {
        let named = node.entries().iter().filter(|(key, _)| keys.contains(&key.text.as_str()));
        found.extend(named.filter_map(|(_, node)| node.text()).map(str::to_owned));
        left.extend(node.entries().iter().map(|(_, node)| node).chain(node.items()));
    }
    found
}
