//! The settings that the first pages show are accepted as they stand there, with the files that they name.

use std::{fs, path::Path, process::Command};

use super::summary::FIRST;
use crate::support::Folder;

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// Where the pages have passwords and certificates.
const SECRETS: &str = "/etc/pgvigil/";

/// The settings of a page: a block that goes on with further targets belongs to the one before.
fn settings(text: &str) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for block in text.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
        if block.starts_with("targets:") {
            all.push(block.to_owned());
        } else if let (true, Some(last)) = (block.starts_with("  - name:"), all.last_mut()) {
            last.push_str(block);
        }
    }
    all
}

/// The files that settings name, below `SECRETS`.
fn secrets(settings: &str) -> impl Iterator<Item = &str> {
    settings.split(SECRETS).skip(1).filter_map(|rest| rest.split([' ', ',', '}', '\n']).next())
}

#[test]
fn shown_settings_are_accepted() {
    let folder = Folder::new("shown", "TERM");
    let place = format!("{}/", folder.path().display());
    let mut count = 0;
    for page in FIRST {
        for shown in settings(&fs::read_to_string(page).expect(page)) {
            for secret in secrets(&shown) {
                let parent = Path::new(secret).parent().expect("a folder");
                fs::create_dir_all(folder.path().join(parent)).expect("a folder");
                folder.write(secret, "secret");
            }
            let file = folder.write("pgvigil.yaml", &shown.replace(SECRETS, &place));
            let check = Command::new(BINARY).arg("check").arg("--config").arg(file).env_clear().output();
            let check = check.expect("running pgvigil");
            assert!(check.status.success(), "{page}:\n{shown}{}", String::from_utf8_lossy(&check.stderr));
            count += 1;
        }
    }
    assert!(count > 6, "{count} settings");
}
