//! What lies in `dashboards/` is what is made of `dashboards/boards/`, and what `pgvigil export dashboards` writes.

use std::{fs, process::Command};

use expect_test::expect_file;
use pgvigil_tools::{board::Board, boards, grafana};

use super::files;
use crate::support::Folder;

/// `make boards` writes them, and so does `UPDATE_EXPECT=1 cargo test --test all -- boards`.
#[test]
fn the_dashboards_are_current() {
    let boards = boards::written().unwrap_or_else(|problems| panic!("{problems}"));
    for made in &boards {
        expect_file![format!("../../dashboards/{}", made.file())].assert_eq(&grafana::json(made));
    }
    let files: Vec<_> = files::dashboards().into_iter().map(|dashboard| dashboard.file).collect();
    let named: Vec<_> = boards.iter().map(Board::file).collect();
    assert_eq!(files, named, "a dashboard without a board, or a board without a dashboard");
}

/// A dashboard that was just written anew is another: it is in the program from the next build on.
#[test]
fn dashboards_are_exported_together_and_one_by_one() {
    let folder = Folder::new("export", "TERM");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pgvigil"));
        command.args(["export", "dashboards"]).args(arguments).output().expect("running pgvigil")
    };
    let dir = folder.path().join("boards");
    assert!(run(&["--dir", &dir.display().to_string()]).status.success());
    let dashboards = files::dashboards();
    assert_eq!(fs::read_dir(&dir).expect("a folder").count(), dashboards.len(), "others are in the program");
    for dashboard in dashboards {
        let shipped = fs::read(format!("dashboards/{}", dashboard.file)).expect("a dashboard");
        assert!(
            fs::read(dir.join(&dashboard.file)).expect("a file") == shipped,
            "{} is another: build again",
            dashboard.file
        );
        let printed = run(&[dashboard.file.trim_end_matches(".json")]);
        assert!(printed.stdout == shipped, "{} is printed otherwise", dashboard.file);
    }
    let unknown = run(&["conections"]);
    let told = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(unknown.status.code() == Some(2) && told.contains("connections"), "{told}");
}
