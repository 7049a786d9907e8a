//! A disk target: the paths whose filesystems are watched.

use crate::{
    schema::{
        fields::Fields,
        problem::Problems,
        shape::{Is, Shape, key},
        yaml::Node,
    },
    settings::{
        DiskSettings, NamedPath,
        interpolate::{Env, expand},
    },
};

/// What `disk` holds.
pub const DISK: Shape = Shape {
    what: "`disk`",
    needs: &[key("paths", Is::List(1, &Is::Map(&PATH)), "The paths whose filesystems are watched.")],
    may: &[],
    quiet: true,
};

const PATH: Shape = Shape {
    what: "a path",
    needs: &[key("path", Is::Form(ABSOLUTE), "An absolute path; the filesystem under it is what counts.")],
    may: &[key("name", Is::Text, "The label `path`; the path itself if left out.")],
    quiet: true,
};

/// The form of an absolute path, or of a text that may become one.
pub(crate) const ABSOLUTE: &str = r"^/|\$\{";

/// Reads `disk:`. A path without a name is its own.
pub fn disk(node: &Node, env: &Env<'_>, problems: &mut Problems) -> Option<DiskSettings> {
    let mut fields = Fields::open(node, &DISK, problems)?;
    if fields.node("paths").is_some_and(Node::is_empty_list) {
        fields.tell("paths", "there is no path: list at least one");
    }
    let mut seen: Vec<String> = Vec::new();
    let paths = fields.each("paths", |node, problems| {
        let named = named(node, env, problems)?;
        if seen.contains(&named.name) {
            problems.add(&node.place, "a second path of this name: give one of the two another `name`");
        }
        seen.push(named.name.clone());
        Some(named)
    });
    Some(DiskSettings { paths })
}

fn named(node: &Node, env: &Env<'_>, problems: &mut Problems) -> Option<NamedPath> {
    let mut fields = Fields::open(node, &PATH, problems)?;
    let path = fields.text("path")?;
    let path = expand(&path, env).map_err(|message| fields.tell("path", message)).ok()?;
    if !path.starts_with('/') {
        fields.tell("path", "`path` must be an absolute path");
    }
    let name = fields.text("name").unwrap_or_else(|| path.clone());
    Some(NamedPath { name, path: path.into() })
}
