//! Promise 19: a broken configuration ends the program before it listens, and says where it is broken.

use std::net::TcpStream;

use crate::support::{Folder, Pgvigil, eventually};

use super::{BINARY, collector, figure};

const GOOD: &str = "targets: [{name: a, postgres: {url: 'postgresql://u@127.0.0.1:1/d'}}]\n";

/// Settings, a collector file `x.yaml`, and what the error output must hold.
fn cases() -> Vec<(&'static str, String, String, &'static str)> {
    let good = collector("x", "", "SELECT 'a' AS kind, 1 AS value");
    let settings = |text: &str, place| ("settings", text.to_owned(), good.clone(), place);
    let file = |text: String, place| ("collector", GOOD.to_owned(), text, place);
    vec![
        settings("targets: [", "pgvigil.yaml:2:1: "),
        settings("targets:\n  - name: a\n    postgers: {}\n", "pgvigil.yaml:3:5: "),
        settings("scrape_timeout: soon\ntargets: []\n", "pgvigil.yaml:1:17: "),
        settings("targets: [{name: 'a b', postgres: {url: 'postgresql://u@h/d'}}]\n", "pgvigil.yaml:1:19: "),
        settings("targets: [{name: a, postgres: {user: u, password_file: /nowhere}}]\n", "pgvigil.yaml:1:"),
        settings("targets: [{name: a, postgres: {url: '${UNSET}'}}]\n", "pgvigil.yaml:1:38: "),
        file("collector: [".to_owned(), "x.yaml:2:1: "),
        file(good.replace("source:", "sauce:"), "x.yaml:2:1: "),
        file(good.replace("value: 1}", "value: many}"), "x.yaml:"),
        file(good.replace("pg_test_x", "pg test x"), "x.yaml:12:"),
        file(good.replace("pg_test_x", "pg_up"), "x.yaml:12:"),
        file(good.replace("type: gauge", "type: gage"), "x.yaml:12:"),
    ]
}

/// Ends with exit code 2, and nobody ever listens.
fn expect_refused(args: &[&str], place: &str) {
    let pgvigil = Pgvigil::spawn(BINARY, args, &[]);
    eventually(std::time::Duration::from_secs(10), "it ends", || {
        assert!(TcpStream::connect(pgvigil.address()).is_err(), "it listens: {place}");
        pgvigil.ended().is_some()
    });
    let code = pgvigil.ended().and_then(|status| status.code());
    assert_eq!(code, Some(2), "{place}: {}", pgvigil.stderr());
    assert!(pgvigil.stderr().contains(place), "{place} is not in: {}", pgvigil.stderr());
}

#[test]
fn p19_a_broken_configuration_ends_it_before_it_listens() {
    let cases = cases();
    for (_, settings, file, place) in &cases {
        let folder = Folder::new("broken", "TERM");
        let settings = folder.write("pgvigil.yaml", settings).display().to_string();
        let own = Folder::new("broken-collectors", "TERM");
        own.write("x.yaml", file);
        expect_refused(&["--config", &settings, "--collectors", &own.path().display().to_string()], place);
    }
    expect_refused(&["--config", "/nowhere/pgvigil.yaml"], "/nowhere/pgvigil.yaml: the file cannot be read");
    expect_refused(&[], "PGVIGIL_POSTGRES_URL");
    figure(19, "broken configurations refused", cases.len() + 2);
}
