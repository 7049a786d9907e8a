//! pint, which knows how rules go wrong, has nothing to say of ours but what `.pint.hcl` explains.

use std::process::Command;

use super::files;
use crate::support::{is_long, place::pint_program};

#[test]
fn pint_has_nothing_to_say() {
    // Building it takes a minute, and a Go: `make test` does without.
    if !is_long() {
        return;
    }
    let mut pint = Command::new(pint_program());
    let output =
        pint.args(["--offline", "--no-color", "lint", "--min-severity=info", "--fail-on=info", "rules"]).output();
    let output = output.expect("running pint");
    let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let all = files::rules().len();
    assert!(said.contains(&format!("entries={all} ")), "of {all} rules it read others:\n{said}");
}
