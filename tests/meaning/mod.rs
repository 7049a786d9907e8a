//! What each collector means: a state is made on a real server, and the page must show its numbers.
//!
//! What is expected is text, a line for each series: `[14+] [-17] name{label=value,...} what`, where 14+ and -17 say from which version on,
//! and before which, the line counts, and `what` is `= 1`, `>= 1`, `< 1`, `there`, `absent`, or `recent`: a time in the last ten minutes.

mod bloat;
mod cluster;
mod conflicts;
mod crash;
mod databases;
mod identity;
mod lag;
mod later;
mod maintenance;
mod next;
mod receivers;
mod refused;
mod replicas;
mod roles;
mod sessions;
mod slots;
mod statements;
mod states;
mod tables;
mod verdicts;

use std::{
    thread::sleep,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use crate::support::{Folder, Pgvigil, Postgres, page};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// What `pgvigil export grants` prints.
const GRANTS: &str = include_str!("../../src/cli/grants.sql");

/// How long a server may take to do what it was told, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with the role `pgvigil`, where statistics change by what a test does and nothing else.
fn server(major: u32, config: &str) -> Postgres {
    let server = Postgres::builder(major).config("autovacuum = off").config(config).start();
    server.create_monitor_role();
    server
}

/// One scrape of these collectors by a pgvigil of its own, so nothing is shown from before.
fn look(server: &Postgres, collectors: &[&str]) -> String {
    let pgvigil = watch(server);
    let query: Vec<_> = collectors.iter().map(|name| format!("collector={name}")).collect();
    let answer = pgvigil.get(&format!("/metrics?collector=exporter&{}", query.join("&")), &[]);
    assert_eq!(answer.status, 200, "{}", answer.text());
    let text = answer.text();
    for name in collectors {
        let success = page::samples(&text, "pgvigil_collector_success", &[("collector", name)]);
        assert_eq!(success, [1.0], "{name}\n{}", pgvigil.stderr());
    }
    text
}

fn watch(server: &Postgres) -> Pgvigil {
    let folder = Folder::new("settings", "TERM");
    let url = server.url("pgvigil", "postgres");
    let settings = format!(
        "targets: [{{name: db, postgres: {{url: \"{url}\"}}}}]\n\
         collectors: {{statement_texts: {{enabled: true}}, statement_histogram: {{ttl: 200ms}}}}\n"
    );
    let file = folder.write("settings.yaml", &settings);
    Pgvigil::start(BINARY, &["--config", &file.display().to_string()], &[])
}

/// Waits until the SQL says true.
fn until(server: &Postgres, sql: &str) {
    server.until("postgres", sql, "t");
}

/// Panics with every line that the page does not fulfil.
fn expect(server: &Postgres, collectors: &[&str], lines: &str) {
    let text = look(server, collectors);
    let wrong = wrong(server.major(), &text, lines);
    assert!(wrong.is_empty(), "PostgreSQL {}: {wrong:#?}", server.major());
}

/// Looks again until the page fulfils every line: for what the server counts a while later. A look starts a program, so there are pauses.
#[allow(clippy::disallowed_methods)]
fn expect_soon(server: &Postgres, collectors: &[&str], lines: &str) {
    let start = SystemTime::now();
    loop {
        let wrong = wrong(server.major(), &look(server, collectors), lines);
        if wrong.is_empty() {
            return;
        }
        assert!(start.elapsed().is_ok_and(|so_far| so_far < PATIENCE), "PostgreSQL {}: {wrong:#?}", server.major());
        sleep(Duration::from_millis(200));
    }
}

/// The lines that the page does not fulfil, each with what is there.
fn wrong(major: u32, text: &str, lines: &str) -> Vec<String> {
    let lines = lines.lines().map(str::trim).filter(|line| !line.is_empty());
    lines
        .filter_map(|line| Expected::parse(line).failure(major, text).map(|is| format!("{line}   is {is:?}")))
        .collect()
}

struct Expected<'a> {
    since: u32,
    until: u32,
    name: &'a str,
    labels: Vec<(&'a str, &'a str)>,
    what: &'a str,
}

impl<'a> Expected<'a> {
    fn parse(line: &'a str) -> Expected<'a> {
        let (mut since, mut until, mut rest) = (0, u32::MAX, line);
        while let Some((first, behind)) = rest.split_once(' ') {
            match (first.strip_suffix('+'), first.strip_prefix('-')) {
                (Some(version), _) => since = version.parse().expect("a version"),
                (_, Some(version)) => until = version.parse().expect("a version"),
                _ => break,
            }
            rest = behind;
        }
        let (series, what) = match rest.split_once("} ") {
            Some((series, what)) => (series, what),
            None => rest.split_once(' ').expect("a name and what is expected"),
        };
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.split(',').filter_map(|label| label.split_once('=')).collect();
        Expected { since, until, name, labels, what: what.trim() }
    }

    /// What is there instead, unless it is as expected.
    fn failure(&self, major: u32, text: &str) -> Option<Vec<f64>> {
        if major < self.since || major >= self.until {
            return None;
        }
        let values = page::samples(text, self.name, &self.labels);
        let is = match (self.what, values.as_slice()) {
            ("absent", []) => true,
            ("there", [_, ..]) => true,
            (what, [value]) => fits(what, *value),
            _ => false,
        };
        (!is).then_some(values)
    }
}

fn fits(what: &str, value: f64) -> bool {
    let number = |text: &str| text.trim().parse::<f64>().unwrap_or_else(|_| panic!("{what}: not a number"));
    match what.split_at(what.find(' ').unwrap_or(what.len())) {
        ("=", wanted) => (value - number(wanted)).abs() <= 1e-6 * number(wanted).abs(),
        (">=", least) => value >= number(least),
        ("<", most) => value < number(most),
        ("recent", "") => {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs_f64();
            (now - 600.0..now + 5.0).contains(&value)
        }
        _ => false,
    }
}

#[test]
fn expectations_are_read_and_can_fail() {
    let text = "a{b=\"c d\",e=\"f\"} 2\na{b=\"x\",e=\"f\"} 3\nz 0\n";
    for (line, fulfilled) in [
        ("a{b=c d} = 2", true),
        ("a{b=c d,e=f} >= 3", false),
        ("a{e=f} = 2", false),
        ("a{e=f} there", true),
        ("a{e=g} absent", true),
        ("z absent", false),
        ("z < 1", true),
        ("z recent", false),
        ("16+ z = 1", true),
        ("-16 z = 1", false),
        ("14+ -15 z = 1", true),
    ] {
        assert_eq!(wrong(15, text, line).is_empty(), fulfilled, "{line}");
    }
}
