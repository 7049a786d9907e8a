//! `make boards`, as one who changes a board sees it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with the repository's boards alone.
fn repository(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    _ = fs::remove_dir_all(&folder);
    let boards = folder.join("dashboards/boards");
    fs::create_dir_all(&boards).expect("a folder");
    for file in fs::read_dir(in_place("boards")).expect("the boards").map(|entry| entry.expect("an entry").path()) {
        fs::copy(&file, boards.join(file.file_name().expect("a name"))).expect("a copy");
    }
    folder
}

fn in_place(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../dashboards").join(name)
}

fn run(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgvigil-tools"));
    command.args(arguments).current_dir(folder).output().expect("running pgvigil-tools")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn what_is_made_is_named_and_then_left_as_it_is() {
    let folder = repository("made");
    let first = run(&folder, &["boards"]);
    assert!(first.status.success(), "{}", text(&first.stderr));
    assert_eq!(text(&first.stdout).lines().count(), 10, "{}", text(&first.stdout));
    for name in text(&first.stdout).lines() {
        let file = name.strip_prefix("dashboards/").expect("a dashboard");
        let made = fs::read(folder.join(name)).expect("what was made");
        assert!(made == fs::read(in_place(file)).expect("what is shipped"), "{name} is not current: `make boards`");
    }
    let second = run(&folder, &["boards"]);
    assert!(second.status.success() && second.stdout.is_empty(), "{}", text(&second.stdout));
}

/// All mistakes of all boards, each with its place; nothing is written then.
#[test]
fn mistakes_are_told_with_their_places() {
    let folder = repository("mistaken");
    for (name, right, wrong) in [
        ("backup", "\nuid: ", "\nuidd: "),
        ("cache", "board: cache", "board: cash"),
        ("probe", "kind: graph", "kind: grap"),
        ("tables", "@target@", "@targets@"),
    ] {
        let file = folder.join(format!("dashboards/boards/{name}.yaml"));
        let board = fs::read_to_string(&file).expect("a board");
        assert!(board.contains(right), "{name}: {right}");
        fs::write(&file, board.replacen(right, wrong, 1)).expect("a file");
    }
    let run = run(&folder, &["boards"]);
    let told = text(&run.stderr);
    assert!(!run.status.success() && told.lines().count() == 4, "{told}");
    for part in [
        "dashboards/boards/backup.yaml:3:1: unknown key `uidd`: did you mean `uid`?",
        "dashboards/boards/cache.yaml:2:8: it must be the same as the file's name without `.yaml`",
        ": `kind` must be stat, graph, stack, table, timeline, bars or heatmap",
        ": no shared selector `targets`: did you mean `target`?",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    assert!(!folder.join("dashboards/backup.json").exists());
}

#[test]
fn elsewhere_and_otherwise_it_says_what_would_be_right() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("elsewhere");
    fs::create_dir_all(&folder).expect("a folder");
    for (arguments, told) in
        [(&["boards"][..], "run this in the repository's folder"), (&[], "usage: "), (&["board"], "usage: ")]
    {
        let run = run(&folder, arguments);
        assert!(!run.status.success() && text(&run.stderr).contains(told), "{arguments:?}: {}", text(&run.stderr));
    }
}
