//! A disk target: the paths whose filesystems are watched.

use std::path::PathBuf;

use crate::declare;
use crate::schema::values::{map, text, unique};
use crate::settings::interpolate::absolute_path;

declare! {
    /// Filesystems, by paths on them.
    #[derive(Clone, Debug, PartialEq)]
    pub struct DiskSettings: "`disk`" {
        /// The paths whose filesystems are watched.
        paths: Vec<NamedPath> = unique(
            map().map(|keys: DiskPathKeys| NamedPath {
                name: keys.name.unwrap_or_else(|| keys.path.to_string_lossy().into_owned()),
                path: keys.path,
            }),
            "",
            |path| vec![path.name.clone()],
            "a second path of this name: give one of the two another `name`",
        )
        .not_empty("there is no path: list at least one"),
    }
}

declare! {
    pub struct DiskPathKeys: "a path" {
        /// An absolute path; the filesystem under it is what counts.
        path: PathBuf = absolute_path(),
        /// The label `path`; the path itself if left out.
        name: Option<String> = text().optional(),
    }
}

/// A path and the value of the label `path`.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedPath {
    pub name: String,
    pub path: PathBuf,
}
