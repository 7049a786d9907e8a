//! Completions and the manual: made from the command line's own definition.

use std::{fs, process::Command};

use crate::support::Folder;

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

fn pgvigil(arguments: &[&str]) -> String {
    let output = Command::new(BINARY).args(arguments).env_clear().output().expect("running pgvigil");
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What bash offers for the last of these words.
fn completed(folder: &Folder, words: &[&str]) -> Vec<String> {
    let script = format!(
        "source ./pgvigil.bash; COMP_WORDS=({}); COMP_CWORD={}; _pgvigil pgvigil \"${{COMP_WORDS[-1]}}\" \"${{COMP_WORDS[-2]}}\"; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" "),
        words.len() - 1
    );
    let output = folder.command("bash").args(["-c", &script]).output().expect("running bash");
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").lines().map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_options_and_words() {
    let folder = Folder::new("completions", "TERM");
    folder.write("pgvigil.bash", &pgvigil(&["export", "completions", "bash"]));
    assert_eq!(completed(&folder, &["pgvigil", "ch"]), ["check"]);
    assert_eq!(completed(&folder, &["pgvigil", "check", "--heal"]), ["--health"]);
    assert_eq!(completed(&folder, &["pgvigil", "export", "gr"]), ["grants"]);
    assert_eq!(completed(&folder, &["pgvigil", "serve", "--log-format", "j"]), ["json"]);
}

#[test]
fn other_shells_know_every_command() {
    for shell in ["zsh", "fish"] {
        let script = pgvigil(&["export", "completions", shell]);
        for word in ["serve", "check", "scrape", "probe", "docs", "import", "export", "health"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
}

/// A page for each command, with each of its options and their variables.
#[test]
fn the_manual_has_every_command() {
    let folder = Folder::new("manual", "TERM");
    let dir = folder.path().join("man");
    pgvigil(&["export", "man", "--dir", &dir.display().to_string()]);
    for command in ["", "serve", "check", "scrape", "probe", "docs", "import", "export", "export rules"] {
        let words: Vec<_> = command.split_whitespace().collect();
        let name = [&["pgvigil"], &words[..]].concat().join("-");
        let page = fs::read_to_string(dir.join(format!("{name}.1"))).unwrap_or_else(|error| panic!("{name}: {error}"));
        let page = page.replace("\\-", "-");
        let help = pgvigil(&[&words[..], &["--help"]].concat());
        for option in help.split_whitespace().filter(|word| word.starts_with("--") && word.len() > 2) {
            let option = option.trim_end_matches([',', ')', ':', '.']);
            assert!(page.contains(option), "{name}: {option}");
        }
    }
    let main = pgvigil(&["export", "man"]);
    assert_eq!(main, fs::read_to_string(dir.join("pgvigil.1")).expect("the main page"));
    assert!(main.contains("PGVIGIL_LISTEN"), "{main}");
}
