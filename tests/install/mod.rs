//! What installs pgvigil: the image, compose.yaml, the systemd unit, packages, the formula, completions, and what makes a release of them.

mod compose;
mod health;
mod homebrew;
mod image;
mod lint;
mod packages;
mod release;
mod shell;
mod systemd;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use crate::support::Folder;

/// Runs it; panics with all that it said unless it succeeds.
fn succeeded(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}:\n{}{}", text(&output.stdout), text(&output.stderr));
    output
}

/// The repository's files as they are now, without what `ignored` lists, in a folder where nothing else is.
fn clean_copy(folder: &Folder, ignored: &str) -> PathBuf {
    let copy = folder.path().join("clean");
    let files = succeeded(Command::new("git").args(["ls-files", "--cached", "--others", "--exclude-standard"]));
    let ignored = fs::read_to_string(ignored).expect("a list");
    // `tests/main.rs` is kept though `tests/*` goes, since Cargo.toml names it; of tools/ likewise.
    let kept: Vec<_> = ignored.lines().filter_map(|line| line.strip_prefix('!')).collect();
    let goes = |file: &str| {
        let rules = ignored.lines().filter(|line| !line.is_empty() && !line.starts_with(['#', '!']));
        let fits = |rule: &str| match rule.trim_start_matches('/').split_once('*') {
            Some((begin, end)) => {
                file.starts_with(begin) && file.ends_with(end) && !(begin.is_empty() && file.contains('/'))
            }
            None => file == rule || file.starts_with(&format!("{}/", rule.trim_start_matches('/'))),
        };
        !kept.contains(&file) && rules.into_iter().any(fits)
    };
    for file in String::from_utf8(files.stdout).expect("names in UTF-8").lines().filter(|file| !goes(file)) {
        // What is deleted and not yet committed is still listed.
        if Path::new(file).exists() {
            let to = copy.join(file);
            fs::create_dir_all(to.parent().expect("a folder")).expect("a folder");
            // A link to a folder is one file here.
            let made = match fs::read_link(file) {
                Ok(link) => std::os::unix::fs::symlink(link, &to),
                Err(_) => fs::copy(file, &to).map(drop),
            };
            made.unwrap_or_else(|error| panic!("{file}: {error}"));
        }
    }
    copy
}
