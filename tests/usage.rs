//! Words on the command line that seem right and are not: what is said of them says what would be.

use std::process::Command;

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

#[test]
fn a_word_without_a_place_is_told_its_place() {
    for (arguments, tip) in [
        ("my.yaml", "tip: a settings file is given as '--config my.yaml'"),
        ("serve my.yaml", "tip: a settings file is given as '--config my.yaml'"),
        ("check ./my.yaml", "tip: a settings file is given as '--config ./my.yaml'"),
        ("scrape my.yaml", "tip: a settings file is given as '--config my.yaml'"),
        ("probe my.yaml", "tip: a settings file is given as '--config my.yaml'"),
        ("docs out.md", "tip: the output goes to stdout: write it to a file with '> out.md'"),
        ("export grants out.sql", "tip: the output goes to stdout: write it to a file with '> out.sql'"),
        ("export alertmanager out", "tip: the output goes to stdout: write it to a file with '> out'"),
        ("export man out", "tip: '--dir out' writes files into a folder"),
        ("export collectors out", "To write all of them into a folder: `--dir out`"),
        ("export rules ./out", "To write all of them into a folder: `--dir ./out`"),
        ("export dashboards /tmp/out", "To write all of them into a folder: `--dir /tmp/out`"),
        ("export collectors lokcs", "no shipped collector file `lokcs`: did you mean `locks`?"),
        ("chekc", "tip: a similar subcommand exists: 'check'"),
    ] {
        let ended = Command::new(BINARY).args(arguments.split(' ')).env_clear().output().expect("it runs");
        let said = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.code() == Some(2) && said.contains(tip), "{arguments}: {said}");
    }
}
