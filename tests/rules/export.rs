//! `pgvigil export rules`: what it writes is what is here, in either format, and its links lead where they are told to.

use std::{
    collections::BTreeSet,
    fs,
    process::{Command, Output},
};

use serde_json::Value;

use super::files;
use crate::support::Folder;

const RUNBOOKS: &str = "https://github.com/pgvigil/pgvigil/blob/main/docs/runbooks/";

fn export(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgvigil"));
    command.args(["export", "rules"]).args(arguments).env_clear().output().expect("running pgvigil")
}

#[test]
fn rules_are_exported_as_files_and_as_resources() {
    let folder = Folder::new("export", "TERM");
    for (format, dir) in [("prometheus", "plain"), ("operator", "resources")] {
        let dir = folder.path().join(dir);
        assert!(export(&["--format", format, "--dir", &dir.display().to_string()]).status.success());
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

/// With slashes at the end or not, in a folder or printed, in either format: nothing else changes.
#[test]
fn links_lead_where_they_are_told_to() {
    let folder = Folder::new("export", "TERM");
    for (format, wiki, grafana) in [
        ("prometheus", "https://wiki.example.com/runbooks", "https://grafana.example.com"),
        ("operator", "http://[::1]:8080/runbooks//", "https://example.com:3000/grafana/"),
    ] {
        let links = ["--format", format, "--runbook-url", wiki, "--dashboard-url", grafana];
        let dir = folder.path().join(format).display().to_string();
        assert!(export(&[&links[..], &["--dir", &dir]].concat()).status.success());
        for (file, mut root) in files::trees("rules") {
            let exported = files::tree(&folder.path().join(format).join(&file));
            let printed = export(&[&links[..], &[file.trim_end_matches(".yaml")]].concat());
            assert_eq!(
                String::from_utf8_lossy(&printed.stdout),
                fs::read_to_string(folder.path().join(format).join(&file)).expect("a file")
            );
            complete(&mut root, wiki.trim_end_matches('/'), grafana.trim_end_matches('/'));
            let groups = if format == "operator" { &exported["spec"] } else { &exported };
            assert_eq!(groups, &root, "{file} as {format}");
        }
    }
}

/// Without where runbooks are, they are with us; dashboards are completed all the same.
#[test]
fn links_are_completed_one_by_one() {
    let text = |arguments: &[&str]| String::from_utf8_lossy(&export(arguments).stdout).into_owned();
    let boards = text(&["disk", "--dashboard-url", "https://grafana.example.com"]);
    assert!(boards.contains(RUNBOOKS) && boards.contains("dashboard_url: https://grafana.example.com/d/"), "{boards}");
    let runbooks = text(&["disk", "--runbook-url", "https://wiki.example.com"]);
    assert!(!runbooks.contains(RUNBOOKS) && runbooks.contains("dashboard_url: /d/"), "{runbooks}");
}

fn complete(rules: &mut Value, wiki: &str, grafana: &str) {
    let groups = rules["groups"].as_array_mut().expect("groups").iter_mut();
    for rule in groups.flat_map(|group| group["rules"].as_array_mut().expect("rules")) {
        let Some(annotations) = rule.get_mut("annotations") else { continue };
        let link = |key: &str| annotations[key].as_str().expect("a link").to_owned();
        let (runbook, board) = (link("runbook_url"), link("dashboard_url"));
        annotations["runbook_url"] = runbook.replace(RUNBOOKS, &format!("{wiki}/")).into();
        annotations["dashboard_url"] = format!("{grafana}{board}").into();
    }
}

#[test]
fn what_is_no_address_of_a_page_is_refused() {
    for wrong in [
        "",
        "grafana.example.com",
        "/d/",
        "https://",
        "ftp://example.com",
        "unix:/run/grafana.sock",
        "https://jo:secret@example.com",
        "https://example.com/?orgId=1",
        "https://example.com/#top",
        "https://example.com/a b",
        "https://example.com/{{ $labels.job }}",
        "https://example.com/\"x",
        "https://example.com:port",
    ] {
        for flag in ["--dashboard-url", "--runbook-url"] {
            let output = export(&["disk", &format!("{flag}={wrong}")]);
            let said = String::from_utf8_lossy(&output.stderr);
            let is_told = wrong.is_empty() || said.contains("it must be like https://grafana.example.com");
            assert!(output.status.code() == Some(2) && is_told, "{flag}={wrong}: {said}");
            assert!(output.stdout.is_empty());
        }
    }
}
