//! The histogram of statements against the truth: what the server itself measured of each execution, from its log.
//!
//! The truth is what auto_explain logs: the executor's own stopwatch, which is the one that pg_stat_statements reads too.
//! `log_min_duration_statement` would log something else, with parsing, planning, commit and sending the rows in it: of
//! a statement that takes 30 microseconds to execute, twice that.

// They wait for a real server.
#![allow(clippy::disallowed_methods)]

use std::{process::Child, thread::sleep, time::Duration};

use crate::support::{Folder, PASSWORD, Pgvigil, Postgres, eventually, is_long, majors, place::client_program, sample};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");
const HISTOGRAM: &str = "pg_stat_statements_duration_seconds";

/// How long a workload runs, and how often statements are read meanwhile.
struct Pace {
    seconds: u32,
    ttl: Duration,
}

const QUICK: Pace = Pace { seconds: 4, ttl: Duration::from_millis(400) };

/// As it is shipped: a reading every 30 s.
const LONG: Pace = Pace { seconds: 65, ttl: Duration::from_secs(30) };

/// pgbench scripts, each with its weight and how many clients run them together.
struct Workload {
    name: &'static str,
    clients: u32,
    scripts: &'static [(&'static str, u32)],
}

const LOOK_UP: &str = "\\set n random(1, 20000)\nSELECT filler FROM items WHERE id = :n;\n";

const ADD_UP: &str = "\\set n random(1, 19000)\nSELECT sum(seen) FROM items WHERE id BETWEEN :n AND :n + 400;\n";

/// Always the same little work.
const FAST: Workload = Workload { name: "uniform fast", clients: 4, scripts: &[(ADD_UP, 1)] };

/// Point queries and updates, scans, and a few that wait.
const MIXED: Workload = Workload {
    name: "mixed",
    clients: 6,
    scripts: &[
        (LOOK_UP, 600),
        ("\\set n random(1, 20000)\nUPDATE items SET seen = seen + 1 WHERE id = :n;\n", 200),
        (ADD_UP, 100),
        ("SELECT count(*), max(filler) FROM items;\n", 40),
        ("\\set ms random(20, 300)\nSELECT pg_sleep(:ms / 1000.0);\n", 8),
    ],
};

/// One statement whose durations have a Pareto distribution: of the mean, a fifth is in one call of a hundred.
const TAIL: Workload = Workload {
    name: "heavy tail",
    clients: 16,
    scripts: &[(
        "\\set u random(1, 1000000)\n\\set s 0.002 / pow(:u / 1000000.0, 1 / 1.5)\nSELECT pg_sleep(least(:s, 3));\n",
        1,
    )],
};

/// A statement that is fast or slow by turns, and one of any duration up to a limit: neither has a log-normal's tail.
const LIMITED: Workload = Workload {
    name: "limited",
    clients: 12,
    scripts: &[
        ("\\set ms CASE WHEN random(1, 100) <= 2 THEN 300 ELSE 3 END\nSELECT pg_sleep(:ms / 1000.0);\n", 1),
        ("\\set us random(200, 100000)\nSELECT 1, pg_sleep(:us / 1000000.0);\n", 1),
    ],
};

#[test]
fn quantiles_of_uniform_fast_statements_are_within_a_bucket_of_the_truth() {
    compare(&FAST);
}

#[test]
fn quantiles_of_fast_and_slow_statements_are_within_a_bucket_of_the_truth() {
    compare(&MIXED);
}

#[test]
fn quantiles_of_a_statement_with_a_heavy_tail_are_within_a_bucket_of_the_truth() {
    compare(&TAIL);
}

#[test]
fn statements_without_a_tail_get_none() {
    compare(&LIMITED);
}

/// What a reset or a restart hides is lost; nothing is counted twice, and nothing falls.
#[test]
fn counters_go_on_over_a_reset_and_a_restart() {
    let server = server(*majors().last().expect("at least one version"));
    let pgvigil = watch(&server, &QUICK);
    let count = || *read(&pgvigil).buckets.last().expect("a bucket");
    let becomes = |wanted: f64| {
        eventually(Duration::from_secs(20), &format!("{wanted} calls"), || {
            sleep(Duration::from_millis(200));
            count() == wanted
        })
    };
    let run = |times: usize| server.sql("app", &"SELECT count(*) FROM items;\n".repeat(times));
    // What the server's making ran in this database is before the first reading.
    assert_eq!(count(), 0.0);
    run(50);
    becomes(50.0);
    server.sql("postgres", "SELECT pg_stat_statements_reset()");
    run(3);
    becomes(53.0);
    server.restart();
    // Until the new run has been read: what the server kept over its restart is not new.
    for _ in 0..4 {
        pgvigil.scrape();
        sleep(QUICK.ttl);
    }
    assert_eq!(count(), 53.0);
    run(7);
    becomes(60.0);
}

/// On one version; at length on all of them, and at the pace of every day.
fn compare(workload: &Workload) {
    let newest = *majors().last().expect("at least one version");
    let versions = if is_long() { majors() } else { vec![newest] };
    versions.into_iter().for_each(|major| one_in_three(major, workload, &QUICK));
    if is_long() {
        one_in_three(newest, workload, &LONG);
    }
}

/// What a machine does besides makes a few executions many times longer, and of even work something else, of which nothing is
/// said here. An estimate that is wrong by itself is wrong three times.
fn one_in_three(major: u32, workload: &Workload, pace: &Pace) {
    let wrong: Vec<_> = (0..3).map_while(|_| compare_on(major, workload, pace).err()).collect();
    assert!(wrong.len() < 3, "{}", wrong.join("\n"));
}

/// Every call must be counted once; which quantile is not within a bucket is the error.
fn compare_on(major: u32, workload: &Workload, pace: &Pace) -> Result<(), String> {
    let server = server(major);
    let pgvigil = watch(&server, pace);
    let before = read(&pgvigil);
    assert_eq!(before.buckets.last(), Some(&0.0), "{major}: nothing is counted before the second reading");
    run(&server, &pgvigil, workload, pace);
    let truth = durations(&server);
    let wanted = truth.len() as f64;
    let mut estimate = read(&pgvigil);
    eventually(pace.ttl + Duration::from_secs(20), "everything is counted", || {
        sleep(pace.ttl.min(Duration::from_millis(500)));
        estimate = read(&pgvigil);
        estimate.buckets.last() >= Some(&wanted)
    });
    assert_eq!(estimate.buckets.last(), Some(&wanted), "{major} {}: every call once", workload.name);
    let (sum, most) = truth.iter().fold((0.0, 0.0_f64), |(sum, most), took| (sum + took, most.max(*took)));
    assert!((estimate.sum - sum).abs() < 0.001 * sum + 1e-6 * wanted, "{major}: {} for {sum} s", estimate.sum);
    slow(&pgvigil, &estimate);
    let end = estimate.bounds.partition_point(|bound| *bound < most + 1e-6);
    assert_eq!(estimate.buckets[end], wanted, "{major} {}: some slower than {most}", workload.name);
    quantiles(workload.name, major, &estimate, &Histogram::of(&truth, &estimate.bounds))
}

/// Each within one bucket; says how far off they are.
fn quantiles(workload: &str, major: u32, estimate: &Histogram, truth: &Histogram) -> Result<(), String> {
    let mut wrong = String::new();
    println!("PostgreSQL {major}, {workload}: {} calls (estimate for truth, ms)", truth.buckets.last().unwrap_or(&0.0));
    for q in [0.5, 0.9, 0.95, 0.99, 0.999] {
        let ((found, in_bucket), (true_, of_truth)) = (estimate.quantile(q), truth.quantile(q));
        println!("  p{:<5} {:9.3} for {:9.3}, bucket {in_bucket} for {of_truth}", q * 100.0, found * 1e3, true_ * 1e3);
        if [0.5, 0.95, 0.99].contains(&q) && in_bucket.abs_diff(of_truth) > 1 {
            wrong = format!("{major} {workload}: p{} {found} for {true_}", q * 100.0);
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong) }
}

/// The counters of slow statements are the histogram's own counts.
fn slow(pgvigil: &Pgvigil, estimate: &Histogram) {
    let text = pgvigil.scrape();
    let total = estimate.buckets.last().expect("a bucket");
    for seconds in ["0.05", "0.1", "1", "2", "5", "60"] {
        let labels = [("datname", "app"), ("seconds", seconds)];
        let slower = sample(&text, "pg_stat_statements_slow_total", &labels).expect("each threshold has a counter");
        let bound = estimate.bounds.iter().position(|bound| bound.to_string() == seconds).expect("it is a bound");
        assert_eq!(slower, total - estimate.buckets[bound], "{seconds}");
    }
}

fn server(major: u32) -> Postgres {
    let settings = [
        "shared_preload_libraries = 'pg_stat_statements,auto_explain'",
        "auto_explain.log_min_duration = 0",
        "auto_explain.log_timing = off",
        "log_line_prefix = '%d %u '",
        // Planner and collector of statistics are not what is measured; their own statements are of no database of ours.
        "autovacuum = off",
    ];
    let server = settings.iter().fold(Postgres::builder(major), |server, line| server.config(line)).start();
    server.create_monitor_role();
    server.create_role("app", "");
    server.sql("postgres", "CREATE EXTENSION pg_stat_statements; CREATE DATABASE app OWNER app");
    server.sql(
        "app",
        "CREATE TABLE items AS SELECT n AS id, 0 AS seen, repeat('x', 100) AS filler FROM generate_series(1, 20000) n;
         ALTER TABLE items ADD PRIMARY KEY (id); ALTER TABLE items OWNER TO app; ANALYZE items;",
    );
    server
}

fn watch(server: &Postgres, pace: &Pace) -> Pgvigil {
    let folder = Folder::new("settings", "TERM");
    let text = format!(
        "targets: [{{name: t, postgres: {{url: \"{}\"}}}}]\ncollectors:\n  statement_histogram: {{ttl: {}ms}}\n",
        server.url("pgvigil", "postgres"),
        pace.ttl.as_millis()
    );
    let file = folder.write("pgvigil.yaml", &text);
    Pgvigil::start(BINARY, &["--config", &file.display().to_string()], &[])
}

/// Runs a workload for a while, being scraped meanwhile, and until its last session has ended.
fn run(server: &Postgres, pgvigil: &Pgvigil, workload: &Workload, pace: &Pace) {
    let folder = Folder::new("pgbench", "TERM");
    let mut command = folder.command(client_program("pgbench"));
    command.env_clear().env("PGPASSWORD", PASSWORD).args(["-n", "-h", "127.0.0.1", "-U", "app"]);
    command.args(["-p", &server.port().to_string(), "-c", &workload.clients.to_string()]);
    command.args(["-T", &pace.seconds.to_string()]);
    for (index, (script, weight)) in workload.scripts.iter().enumerate() {
        let file = folder.write(&format!("{index}.sql"), script);
        command.arg("-f").arg(format!("{}@{weight}", file.display()));
    }
    command.arg("app").stdout(std::process::Stdio::null());
    let mut pgbench: Child = command.spawn().expect("starting pgbench");
    while pgbench.try_wait().expect("asking for pgbench").is_none() {
        pgvigil.scrape();
        sleep(pace.ttl.min(Duration::from_secs(5)));
    }
    assert!(pgbench.wait().expect("pgbench").success(), "pgbench failed");
    let sessions = "SELECT count(*) FROM pg_stat_activity WHERE datname = 'app'";
    server.until("postgres", sessions, "0");
}

/// What the server measured of each statement that `app` executed, in seconds.
fn durations(server: &Postgres) -> Vec<f64> {
    let log = server.log();
    let of_app = log.lines().filter_map(|line| line.strip_prefix("app app LOG:  duration: "));
    let plans = of_app.filter_map(|line| line.strip_suffix(" ms  plan:"));
    plans.map(|ms| ms.parse::<f64>().expect("a number of milliseconds") / 1000.0).collect()
}

/// Cumulative, as a page has it; the last bound is infinite.
struct Histogram {
    bounds: Vec<f64>,
    buckets: Vec<f64>,
    sum: f64,
}

fn read(pgvigil: &Pgvigil) -> Histogram {
    let sum_of = |text: &str| sample(text, &format!("{HISTOGRAM}_sum"), &[("datname", "app")]);
    let mut text = String::new();
    // A reading that comes late on a busy machine leaves nothing to show until it is there.
    eventually(Duration::from_secs(2), "the histogram is shown", || {
        text = pgvigil.scrape();
        sum_of(&text).is_some()
    });
    let bucket = format!("{HISTOGRAM}_bucket");
    let lines = text.lines().filter(|line| line.starts_with(&bucket) && line.contains("datname=\"app\""));
    let of = |line: &str| -> Option<(f64, f64)> {
        let bound = line.split("le=\"").nth(1)?.split('"').next()?.parse().ok()?;
        Some((bound, line.rsplit(' ').next()?.parse().ok()?))
    };
    let (bounds, buckets) = lines.filter_map(of).unzip();
    let sum = sum_of(&text).expect("a sum");
    Histogram { bounds, buckets, sum }
}

impl Histogram {
    fn of(durations: &[f64], bounds: &[f64]) -> Histogram {
        let up_to = |bound: &f64| durations.iter().filter(|duration| *duration <= bound).count() as f64;
        Histogram { bounds: bounds.to_vec(), buckets: bounds.iter().map(up_to).collect(), sum: durations.iter().sum() }
    }

    /// As Prometheus' `histogram_quantile` computes it, and the bucket it is in.
    fn quantile(&self, q: f64) -> (f64, usize) {
        let rank = q * self.buckets.last().expect("a bucket");
        let bucket = self.buckets.iter().position(|count| *count >= rank).expect("the last has all");
        if bucket + 1 == self.bounds.len() {
            return (self.bounds[bucket - 1], bucket);
        }
        let (start, below) = match bucket {
            0 => (0.0, 0.0),
            _ => (self.bounds[bucket - 1], self.buckets[bucket - 1]),
        };
        (start + (self.bounds[bucket] - start) * (rank - below) / (self.buckets[bucket] - below), bucket)
    }
}
