//! Promise 18, the middle of a life: reloads never end it, and a broken configuration changes nothing.

use std::time::Duration;

use crate::support::{Folder, Pgvigil, Postgres, eventually, http};

use super::{BINARY, Scrape, collector, figure, millis, newest, server};

/// Where a reload comes from, and a name for it.
type Reload = (&'static str, fn(&Pgvigil));

const RELOADS: [Reload; 3] = [
    ("SIGHUP", |pgvigil| pgvigil.signal("HUP")),
    ("POST", |pgvigil| _ = http::ask(pgvigil.address(), "POST", "/-/reload", &[])),
    ("the files being watched", |_| ()),
];

fn settings(server: &Postgres, name: &str) -> String {
    let url = server.url("pgvigil", "postgres");
    format!("targets:\n  - name: {name}\n    postgres: {{url: '{url}'}}\n")
}

fn mine(value: u32) -> String {
    collector("mine", "", &format!("SELECT 'a' AS kind, {value} AS value"))
}

#[test]
fn p18_reloads_change_what_is_good_and_refuse_what_is_broken() {
    let server = server(newest());
    let (folder, own) = (Folder::new("settings", "TERM"), Folder::new("own", "TERM"));
    let file = folder.write("pgvigil.yaml", &settings(&server, "first")).display().to_string();
    own.write("mine.yaml", &mine(1));
    let args = ["--config", &file, "--collectors", &own.path().display().to_string(), "--web.enable-lifecycle"];
    let pgvigil = Pgvigil::start(BINARY, &args, &[]);
    for (round, (name, reload)) in (2..).zip(RELOADS) {
        let target = format!("target_{round}");
        folder.write("pgvigil.yaml", &settings(&server, &target));
        own.write("mine.yaml", &mine(round));
        reload(&pgvigil);
        expect_values(&pgvigil, &target, round, 1.0, name);
        for broken in ["targets: [", "targets: []\n"] {
            folder.write("pgvigil.yaml", broken);
            reload(&pgvigil);
            expect_values(&pgvigil, &target, round, 0.0, name);
        }
        folder.write("pgvigil.yaml", &settings(&server, &target));
        own.write("mine.yaml", "collector: [");
        reload(&pgvigil);
        millis(200);
        expect_values(&pgvigil, &target, round, 0.0, name);
        own.write("mine.yaml", &mine(round));
        reload(&pgvigil);
        expect_values(&pgvigil, &target, round, 1.0, name);
        figure(18, "reloads by", name);
    }
    (0..50).for_each(|_| pgvigil.signal("HUP"));
    Scrape::of(&pgvigil, None).expect_up(true, "after fifty SIGHUP");
    assert!(pgvigil.ended().is_none());
}

/// Waits until the page of this configuration tells that its last reload ended so.
fn expect_values(pgvigil: &Pgvigil, target: &str, mine: u32, success: f64, what: &str) {
    let mut last = String::new();
    eventually(Duration::from_secs(20), what, || {
        let scrape = Scrape::of(pgvigil, None);
        last = scrape.own();
        scrape.value("pgvigil_config_reload_success", &[]) == Some(success)
            && scrape.value("pg_up", &[("target", target)]) == Some(1.0)
            && scrape.value("pg_test_mine", &[("target", target)]) == Some(f64::from(mine))
    });
}

#[test]
fn p18_reload_over_http_is_off_unless_asked_for() {
    let server = server(newest());
    let url = server.url("pgvigil", "postgres");
    for (args, status) in [(&[][..], 403), (&["--web.enable-lifecycle"], 200)] {
        let pgvigil = Pgvigil::start(BINARY, args, &[("PGVIGIL_POSTGRES_URL", &url)]);
        for (method, expected) in [("POST", status), ("GET", 405), ("PUT", 405)] {
            let answer = http::ask(pgvigil.address(), method, "/-/reload", &[]).expect("an answer");
            assert_eq!(answer.status, expected, "{method} {args:?}");
        }
    }
}
