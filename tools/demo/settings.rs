//! The demo's pgvigil.yaml, written as a user would.

use std::path::PathBuf;

use crate::support::{Folder, PgBackRest};

/// Writes it: each target by its name, its kind and what that holds; and what differs from the collectors' files.
pub fn write(folder: &Folder, targets: &[(&str, &str, String)], collectors: &str) -> PathBuf {
    let target = |(name, kind, holds): &(&str, &str, String)| {
        format!("  - name: {name}\n    labels: {{cluster: demo}}\n    {kind}: {holds}\n")
    };
    let targets: String = targets.iter().map(target).collect();
    folder.write("pgvigil.yaml", &format!("targets:\n{targets}collectors: {{{collectors}}}\n"))
}

/// What a target of a server holds.
pub fn url(url: &str) -> String {
    format!("{{url: \"{url}\"}}")
}

/// What the target of the backups holds; `more`: further keys, with a comma before each.
pub fn repository(backups: &PgBackRest, more: &str) -> String {
    let (config, archive) = (backups.config(), backups.archive());
    let (config, archive) = (config.display(), archive.display());
    format!("{{repositories: [{{name: main, tool: pgbackrest, config: {config}, archive_path: {archive}{more}}}]}}")
}

/// What the target of the disks holds.
pub fn paths(named: &[(&str, PathBuf)]) -> String {
    let paths: Vec<_> =
        named.iter().map(|(name, path)| format!("{{name: {name}, path: {}}}", path.display())).collect();
    format!("{{paths: [{}]}}", paths.join(", "))
}
