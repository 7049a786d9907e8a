//! `pgvigil export rules`: what it writes is what is here, in either format.

use std::{collections::BTreeSet, fs, process::Command};

use super::files;
use crate::support::Folder;

#[test]
fn rules_are_exported_as_files_and_as_resources() {
    let folder = Folder::new("export", "TERM");
    for (format, dir) in [("prometheus", "plain"), ("operator", "resources")] {
        let dir = folder.path().join(dir);
        let status = Command::new(env!("CARGO_BIN_EXE_pgvigil"))
            .args(["export", "rules", "--format", format, "--dir"])
            .arg(&dir)
            .status();
        assert!(status.expect("running pgvigil").success());
        for (file, root) in files::trees("rules") {
            let exported = files::tree(&dir.join(&file));
            let groups = if format == "operator" { &exported["spec"] } else { &exported };
            assert_eq!(groups, &root, "{file} as {format}");
        }
        let names = fs::read_dir(&dir).expect("a folder").map(|entry| entry.expect("an entry").file_name());
        let written: BTreeSet<_> = names.map(|name| name.into_string().expect("UTF-8")).collect();
        // Prometheus takes every file that is there for a rule file.
        assert_eq!(written, files::trees("rules").into_iter().map(|(file, _)| file).collect());
    }
}
