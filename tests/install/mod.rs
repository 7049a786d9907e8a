//! What installs pgvigil: the image, compose.yaml, the systemd unit, packages, completions, and what makes a release of them.

mod compose;
mod health;
mod lint;
mod shell;

use std::process::{Command, Output};

/// Runs it; panics with all that it said unless it succeeds.
fn succeeded(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{command:?}:\n{}{}", text(&output.stdout), text(&output.stderr));
    output
}
