//! The shipped rule files, as they are written.

use include_dir::{Dir, include_dir};

static FOLDER: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/rules");

/// Beside the rules: what Prometheus would not take for a rule file.
const OTHERS: [&str; 2] = ["thresholds.yaml", "alertmanager.yaml"];

/// The names of the files and their texts, in the order of their names.
pub fn files() -> Vec<(&'static str, &'static str)> {
    let named = |file: &'static include_dir::File<'_>| Some((file.path().to_str()?, file.contents_utf8()?));
    let mut files: Vec<_> = FOLDER.files().filter_map(named).filter(|(name, _)| !OTHERS.contains(name)).collect();
    files.sort_unstable();
    files
}
