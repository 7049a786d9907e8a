//! `pgvigil export rules`: what it writes is what is here, in either format.

use std::{fs, process::Command};

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
        assert!(!dir.join("thresholds.yaml").exists());
        assert!(fs::read_dir(&dir).expect("a folder").count() > 0);
    }
}
