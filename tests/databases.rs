//! Collectors of `scope: database`: which databases are visited, and what one of them does to the others.

use std::{
    process::Command,
    thread,
    time::{Duration, Instant},
};

use pgvigil::collector::catalogue::Catalogue;

use crate::support::{BUSY, Folder, Pgvigil, Postgres, eventually, majors, page, sample};

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

const COLLECTOR: &str = r#"# Tables of each database.
collector: counted
source: postgres
scope: database
ttl: 60s
timeout: 2s
queries:
  - name: tables
    sql:
      - since: 13
        text: |
          SELECT count(*) AS n FROM pg_class WHERE relkind = 'r' AND relnamespace >= 16384 OR relnamespace = 2200
    metrics:
      - {name: app_tables, type: gauge, value: n, help: "Tables."}
    example: [{n: "3"}]
"#;

/// The settings and the collector in a folder, and the arguments that name them.
fn settings(server: &Postgres, databases: &str, collector: &str) -> (Folder, [String; 4]) {
    let folder = Folder::new("databases", "TERM");
    std::fs::create_dir(folder.path().join("own")).expect("a folder");
    folder.write("own/counted.yaml", collector);
    let url = server.url("pgvigil", "postgres");
    let target = format!("targets: [{{name: t, postgres: {{url: \"{url}\", databases: {databases}}}}}]\n");
    let settings = folder.write("pgvigil.yaml", &target);
    let (settings, own) = (settings.display().to_string(), folder.path().join("own").display().to_string());
    (folder, ["--config".into(), settings, "--collectors".into(), own])
}

fn watch(server: &Postgres, databases: &str) -> Pgvigil {
    let (_folder, arguments) = settings(server, databases, COLLECTOR);
    Pgvigil::start(BINARY, &arguments.each_ref().map(String::as_str), &[])
}

fn check(server: &Postgres, databases: &str, collector: &str) -> (Option<i32>, String) {
    let (_folder, arguments) = settings(server, databases, collector);
    let mut command = Command::new(BINARY);
    let output = command.args(["check", "--connect"]).args(arguments).env_clear().output().expect("running check");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Settings that leave on `server`, what pgvigil says of itself, and what the folder adds.
fn others_off() -> String {
    let shipped = Catalogue::load(None).expect("the shipped collectors are right");
    let others =
        shipped.collectors.iter().filter(|collector| !["server", "exporter"].contains(&collector.name.as_str()));
    let off: String = others.map(|collector| format!("  {}: {{enabled: false}}\n", collector.name)).collect();
    format!("collectors:\n{off}")
}

/// What a session has cached of many relations only its end gives back.
#[test]
fn a_session_that_saw_many_relations_is_not_kept() {
    let server = server(*majors().last().expect("at least one version"), &[]);
    let many = "DO $$ BEGIN FOR i IN 1..15 LOOP
                  FOR j IN 1..1000 LOOP EXECUTE format('CREATE TYPE many%s_%s AS (a int)', i, j); END LOOP;
                  COMMIT;
                END LOOP; END $$";
    for (fill, sessions) in [("", 2.0), (many, 1.0)] {
        server.sql("postgres", fill);
        let (folder, arguments) = settings(&server, "{include: [postgres]}", COLLECTOR);
        let file = folder.path().join("pgvigil.yaml");
        let text = std::fs::read_to_string(file).expect("the settings") + &others_off();
        folder.write("pgvigil.yaml", &text);
        let pgvigil = Pgvigil::start(BINARY, &arguments.each_ref().map(String::as_str), &[]);
        let mut page = pgvigil.scrape();
        eventually(Duration::from_secs(30), "it is asked", || {
            page = pgvigil.scrape();
            tables(&page, "postgres").is_some()
        });
        let open = || sample(&pgvigil.scrape(), "pgvigil_sessions", &[("target", "t")]);
        eventually(Duration::from_secs(10), "the sessions that are kept", || open() == Some(sessions));
    }
}

#[test]
fn check_connect_tells_of_each_database() {
    let server = server(*majors().last().expect("at least one version"), &["app_a", "app_b", "app_c"]);
    let of_b_and_c = COLLECTOR.replace("FROM pg_class WHERE", "FROM pg_class WHERE 'public.t1'::regclass IS NULL OR");
    let (code, said) = check(&server, "{include: [\"app_*\"]}", &of_b_and_c);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("  on         counted in app_b, app_c: 2 rows\n"), "{said}");
    assert!(
        said.contains("  off        counted in app_a: ") && said.contains("\"public.t1\" does not exist"),
        "{said}"
    );
    // What is nowhere is a mistake.
    let (code, said) = check(&server, "{include: [app_a]}", &of_b_and_c);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("  FAILED     counted in app_a: "), "{said}");
    let (code, said) = check(&server, "{include: [none]}", COLLECTOR);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("  off        counted: there is no database to run it in\n"), "{said}");
}

fn tables(page: &str, database: &str) -> Option<f64> {
    sample(page, "app_tables", &[("target", "t"), ("datname", database)])
}

fn server(major: u32, databases: &[&str]) -> Postgres {
    let server = Postgres::builder(major).start();
    server.create_monitor_role();
    for (count, database) in databases.iter().enumerate() {
        server.sql("postgres", &format!("CREATE DATABASE {database}"));
        for table in 0..=count {
            server.sql(database, &format!("CREATE TABLE t{table} ()"));
        }
    }
    server
}

#[test]
fn each_database_is_visited_and_one_that_goes_is_gone() {
    for major in majors() {
        let server = server(major, &["app_a", "app_b", "closed", "tmp_c"]);
        server.sql("postgres", "REVOKE CONNECT ON DATABASE closed FROM PUBLIC");
        let pgvigil = watch(&server, "{exclude: [\"tmp_*\"]}");
        let text = pgvigil.scrape();
        let seen =
            |page: &str| ["app_a", "app_b", "closed", "tmp_c", "postgres"].map(|database| tables(page, database));
        assert_eq!(seen(&text), [Some(1.0), Some(2.0), None, None, Some(0.0)], "{}", pgvigil.stderr());
        assert_eq!(sample(&text, "pgvigil_collector_success", &[("collector", "counted")]), Some(1.0));
        assert_eq!(sample(&text, "pgvigil_collector_rows", &[("collector", "counted")]), Some(3.0));
        // No session is kept there, so it can be dropped; it is gone with the next scrape, and a new one is there.
        eventually(Duration::from_secs(5), "the visit has ended", || {
            server.sql(
                "postgres",
                "SELECT count(*) FROM pg_stat_activity WHERE usename = 'pgvigil' AND datname <> 'postgres'",
            ) == "0"
        });
        server.sql("postgres", "DROP DATABASE app_b");
        server.sql("postgres", "CREATE DATABASE app_d");
        let text = pgvigil.scrape();
        assert_eq!(
            (tables(&text, "app_a"), tables(&text, "app_b"), tables(&text, "app_d")),
            (Some(1.0), None, Some(0.0))
        );
    }
}

#[test]
fn a_database_whose_catalogue_is_locked_keeps_nobody_else_waiting() {
    let server = server(15, &["app_a", "locked", "app_z"]);
    let mut holder = server.session("locked");
    holder.run("BEGIN; LOCK pg_catalog.pg_class, pg_catalog.pg_attribute IN ACCESS EXCLUSIVE MODE;");
    let pgvigil = watch(&server, "{}");
    let text = pgvigil.scrape();
    assert_eq!((tables(&text, "app_a"), tables(&text, "locked"), tables(&text, "app_z")), (Some(1.0), None, Some(3.0)));
    assert_eq!(sample(&text, "pg_up", &[]), Some(1.0));
    assert_eq!(sample(&text, "pgvigil_collector_success", &[("collector", "counted")]), Some(0.0));
    for _ in 0..3 {
        pgvigil.scrape();
    }
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'pgvigil' AND wait_event_type = 'Lock'";
    assert!(server.sql("postgres", waiting).parse::<u32>().expect("a number") <= 1, "one login, asked again");
}

/// A database that failed is asked again a minute later.
#[test]
#[ignore = "long: make test-all"]
fn a_database_whose_catalogue_was_locked_comes_back() {
    let server = server(15, &["app_a", "locked"]);
    let mut holder = server.session("locked");
    holder.run("BEGIN; LOCK pg_catalog.pg_class, pg_catalog.pg_attribute IN ACCESS EXCLUSIVE MODE;");
    let pgvigil = watch(&server, "{}");
    let text = pgvigil.scrape();
    assert_eq!((tables(&text, "app_a"), tables(&text, "locked")), (Some(1.0), None));
    holder.run("ROLLBACK;");
    eventually(Duration::from_secs(70), "the database is back", || tables(&pgvigil.scrape(), "locked") == Some(2.0));
}

#[test]
fn the_rows_of_a_target_are_shared_out_among_its_databases() {
    let server = server(15, &["app_a", "app_b", "app_c"]);
    let folder = Folder::new("rows", "TERM");
    let rows = COLLECTOR.replace("ttl: 60s", "ttl: 60s\nmax_rows: 6");
    let rows = rows.replace(
        "SELECT count(*) AS n FROM pg_class WHERE relkind = 'r' AND relnamespace >= 16384 OR relnamespace = 2200",
        "SELECT n, n::text AS name FROM generate_series(1, 10) n",
    );
    let rows = rows
        .replace("    metrics:\n", "    labels: [name]\n    metrics:\n")
        .replace("[{n: \"3\"}]", "[{n: \"3\", name: a}]");
    std::fs::create_dir(folder.path().join("own")).expect("a folder");
    folder.write("own/counted.yaml", &rows);
    let url = server.url("pgvigil", "postgres");
    let settings = folder.write(
        "pgvigil.yaml",
        &format!("targets: [{{name: t, postgres: {{url: \"{url}\", databases: {{include: [\"app_*\"]}}}}}}]\n"),
    );
    let own = folder.path().join("own").display().to_string();
    let pgvigil = Pgvigil::start(BINARY, &["--config", &settings.display().to_string(), "--collectors", &own], &[]);
    let text = pgvigil.scrape();
    assert_eq!(page::samples(&text, "app_tables", &[]).len(), 6, "{}", pgvigil.stderr());
    assert_eq!(sample(&text, "pgvigil_rows_dropped_total", &[("collector", "counted")]), Some(24.0));
}

#[test]
fn p09_sixty_databases_are_visited_within_the_same_bounds() {
    let names: Vec<String> = (0..60).map(|number| format!("d{number}")).collect();
    let server = Postgres::builder(15).start();
    server.create_monitor_role();
    let create: String = names.iter().map(|name| format!("CREATE DATABASE {name} STRATEGY file_copy;\n")).collect();
    server.sql("postgres", &create);
    let pgvigil = watch(&server, "{include: [\"d*\"]}");
    let most = thread::scope(|scope| {
        let watcher = scope.spawn(|| {
            let ours = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'pgvigil'";
            let count = || server.sql("postgres", ours).parse::<usize>().expect("a number");
            (0..40).map(|_| count()).max().unwrap_or_default()
        });
        // What does not fit into the first scrape arrives by the next.
        let there = || page::samples(&pgvigil.scrape(), "app_tables", &[]).len() == 60;
        eventually(Duration::from_secs(60), "all databases are there", there);
        watcher.join().expect("the watcher ends")
    });
    println!("60 databases, {most} sessions at most");
    // The server may still count the session that each of the two visits had before.
    assert!(most <= 6, "two lanes and two visits, not {most} sessions");
}

/// One database that cannot be entered may use up its time; six of them may not use it up six times.
#[test]
fn check_connect_does_not_wait_for_each_database_that_hangs() {
    let names = ["a", "b", "c", "d", "e", "f"].map(|name| format!("app_{name}"));
    let server = server(*majors().last().expect("at least one version"), &names.each_ref().map(String::as_str));
    // A database that is being renamed lets nobody in until that is done.
    let mut holder = server.session("postgres");
    let rename = |name: &String| format!("ALTER DATABASE {name} RENAME TO renamed_{name};");
    holder.run(&format!("BEGIN; {}", names.each_ref().map(rename).concat()));
    let (folder, arguments) =
        settings(&server, "{include: [\"app_*\"]}", &COLLECTOR.replace("timeout: 2s", "timeout: 6s"));
    let file = folder.path().join("pgvigil.yaml");
    let text = std::fs::read_to_string(&file).expect("the settings") + "scrape_timeout: 1s\n" + &others_off();
    folder.write("pgvigil.yaml", &text);
    let began = Instant::now();
    let output = Command::new(BINARY).args(["check", "--connect"]).args(arguments).env_clear().output();
    let (took, output) = (began.elapsed(), output.expect("running check"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(names.iter().all(|name| said.contains(name.as_str())), "each is named: {said}");
    println!("six databases that hang, 7 s to wait: {took:?}\n{said}");
    assert!(took < Duration::from_secs(7) + BUSY, "{took:?}\n{said}");
}
