//! What a probe says when all is well: over every path, by the command line and by scrapes.

use serde_json::Value;

use super::*;

const CLASSES: [&str; 5] = ["round_trip", "point", "join", "aggregate", "complex"];

/// A primary with the role, its replica and a pooler, with the settings of a probe over all of them.
fn world(major: u32) -> (Postgres, Postgres, PgBouncer, String) {
    let primary = Postgres::builder(major).start();
    create_role(&primary);
    let replica = primary.replica();
    let pooler = PgBouncer::start(&primary, "transaction", "");
    let paths = format!(
        "      paths:\n        - direct: {{}}\n        - pooled: {{size: 3}}\n        - cached: {{}}\n        - pgbouncer: {{port: {}}}\n        \
         - {{name: replica-1, replica: {{port: {}}}}}\n",
        pooler.port(),
        replica.port()
    );
    let settings = settings(&primary.url("pgvigil_probe", "postgres"), &paths);
    (primary, replica, pooler, settings)
}

#[test]
fn every_path_is_measured() {
    for major in majors() {
        let (primary, _replica, _pooler, settings) = world(major);
        for _ in 0..2 {
            let made = probe(&settings, &["--install"]);
            assert!(made.status.success(), "{}", text(&made.stderr));
            let changed = "SELECT count(*) FILTER (WHERE n_mod_since_analyze > 0 OR last_analyze IS NULL) FROM pg_stat_user_tables";
            primary.until("postgres", changed, "0");
        }
        let bytes = "SELECT sum(pg_total_relation_size(oid)) FROM pg_class WHERE relnamespace = 'pgvigil_probe'::regnamespace AND relkind = 'r'";
        let size: f64 = primary.sql("postgres", bytes).parse().expect("a number");
        println!("{major}: the tables take {:.1} MB", size / 1e6);
        assert!((3e6..9e6).contains(&size), "{size}");
        let ran = probe(&settings, &["--rounds", "5", "--interval", "2s", "--json"]);
        let told: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{}", text(&ran.stderr)));
        println!("{told:#}");
        let results = told["results"].as_array().expect("results");
        for path in ["direct", "pooled", "cached", "pgbouncer", "pgbouncer-new", "replica-1"] {
            for class in CLASSES {
                let line = results.iter().find(|line| line["path"] == path && line["query"] == class);
                let line = line.unwrap_or_else(|| panic!("no {path}/{class} in {told:#}"));
                assert_eq!((&line["attempts"], &line["errors"]), (&5.into(), &0.into()), "{line:#}");
            }
        }
        let ran = text(&probe(&settings, &["--rounds", "1", "--interval", "2s"]).stdout);
        for end in [" times as fast as pooled on average, misses included", " times as fast as direct on average"] {
            assert!(ran.lines().any(|line| line.ends_with(end)), "{end}: {ran}");
        }
        let gone = probe(&settings, &["--uninstall"]);
        assert!(gone.status.success(), "{}", text(&gone.stderr));
        assert_eq!(primary.sql("postgres", "SELECT count(*) FROM pg_namespace WHERE nspname = 'pgvigil_probe'"), "0");
    }
}

/// What `export grants` prints and `--install` grants is enough, and keeps the limits behind a pooler.
#[test]
fn the_role_of_the_grants_can_do_it_all() {
    let primary = Postgres::builder(newest()).start();
    primary.create_monitor_role();
    let pooler = PgBouncer::start(&primary, "transaction", "");
    let limits = "SELECT 1 / count(*) FROM pg_settings WHERE (name, setting) IN (('statement_timeout', '5000'), ('lock_timeout', '3000'), \
                  ('idle_in_transaction_session_timeout', '10000'), ('transaction_read_only', 'on')) HAVING count(*) = 4";
    let more = format!(
        "      write: true\n      paths: [{{direct: {{}}}}, {{pgbouncer: {{port: {}}}}}]\n      queries: [{{name: limits, sql: \"{limits}\", objective: 1s}}]\n",
        pooler.port()
    );
    let settings = settings(&primary.url("pgvigil_probe", "postgres"), &more);
    let refused = probe(&settings, &["--install"]);
    let told = text(&refused.stderr);
    assert!(
        refused.status.code() == Some(1) && told.contains("set PGVIGIL_PROBE_ADMIN_URL to such a role's URL"),
        "{told}"
    );
    let admin = [("PGVIGIL_PROBE_ADMIN_URL", primary.url("postgres", "postgres"))];
    let made = probe_with(&settings, &["--install"], &admin);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let ran = probe(&settings, &["--rounds", "3", "--interval", "2s", "--json"]);
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{}", text(&ran.stderr)));
    let lines = told["results"].as_array().expect("results");
    assert_eq!(lines.len(), 3 * 6 + 1, "{told:#}");
    assert!(lines.iter().all(|line| line["errors"] == 0), "{told:#}");
    let gone = probe_with(&settings, &["--uninstall"], &admin);
    assert!(gone.status.success(), "{}", text(&gone.stderr));
}

/// `check --connect` goes over each path, and says what the server refuses.
#[test]
fn a_check_says_which_queries_are_refused() {
    let server = Postgres::builder(newest()).start();
    create_role(&server);
    server.sql("postgres", "CREATE SEQUENCE public.counter; GRANT ALL ON public.counter TO pgvigil_probe");
    let more = "      paths: [direct: {}]\n      queries:\n        - {name: good, sql: SELECT oid FROM pg_class, objective: 1s}\n        \
                - {name: writes, sql: \"SELECT nextval('public.counter')\", objective: 1s}\n";
    let folder = Folder::new("probe", "TERM");
    let file = folder.write("pgvigil.yaml", &settings(&server.url("pgvigil_probe", "postgres"), more));
    let mut check = Command::new(BINARY);
    let check = check.args(["check", "--connect", "--config"]).arg(file).env_clear().output().expect("running pgvigil");
    let told = text(&check.stdout);
    assert!(check.status.code() == Some(1) && told.contains(" good succeeded in "), "{told}");
    assert!(told.contains("reason read_only: cannot execute nextval() in a read-only transaction"), "{told}");
}
