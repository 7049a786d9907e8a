//! The tests' own ground: servers start, answer, obey, and leave nothing behind.

use std::{
    env,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    thread,
    time::Duration,
};

use crate::support::{
    PASSWORD, PgBouncer, Postgres, Prometheus, Session, Stop, eventually, majors, page, pgbouncer, process,
    promtool_check_metrics, psql, sample,
};

const SOON: Duration = Duration::from_secs(30);

/// The lowest version under test, where one is enough.
fn postgres() -> Postgres {
    Postgres::builder(majors()[0]).start()
}

#[test]
fn each_version_answers_and_asks_for_passwords() {
    for major in majors() {
        let server = Postgres::builder(major).config("work_mem = 3MB").start();
        assert_eq!(server.sql("postgres", "SHOW server_version_num").len(), 6);
        assert!(server.sql("postgres", "SHOW server_version").starts_with(&major.to_string()));
        assert_eq!(server.sql("postgres", "SHOW work_mem"), "3MB");
        server.create_monitor_role();
        server.sql("postgres", "CREATE EXTENSION pg_stat_statements");
        let mut login = psql::psql("127.0.0.1", server.port(), "pgvigil", "postgres");
        assert_eq!(psql::run(&mut login, "SELECT count(*) > 0 FROM public.pg_stat_statements"), Ok("t".to_owned()));
        let refused = psql::run(login.env("PGPASSWORD", "wrong"), "SELECT 1").expect_err("a wrong password");
        assert!(refused.contains("password authentication failed"), "{refused}");
    }
}

#[test]
fn each_version_replicates_and_is_promoted() {
    for major in majors() {
        let primary = Postgres::builder(major).start();
        let replica = primary.replica();
        primary.sql("postgres", "CREATE TABLE t AS SELECT 42 AS answer");
        eventually(SOON, "the row arrives", || {
            replica.try_sql("postgres", "SELECT answer FROM t").is_ok_and(|answer| answer == "42")
        });
        assert_eq!(replica.sql("postgres", "SELECT pg_is_in_recovery()"), "t");
        primary.stop(Stop::Fast);
        replica.promote();
        assert_eq!(replica.sql("postgres", "SELECT pg_is_in_recovery()"), "f");
        replica.sql("postgres", "INSERT INTO t VALUES (43)");
    }
}

#[test]
fn a_server_stops_restarts_and_recovers() {
    let server = postgres();
    server.sql("postgres", "CREATE TABLE t AS SELECT 1 AS one");
    server.stop(Stop::Immediate);
    assert!(server.try_sql("postgres", "SELECT 1").is_err());
    server.start();
    assert_eq!(server.sql("postgres", "SELECT one FROM t"), "1");
    let before = server.pid();
    server.restart();
    assert_ne!(server.pid(), before);
}

#[test]
fn a_paused_server_hangs_and_goes_on() {
    let server = postgres();
    server.pause();
    let mut hurried = psql::psql(server.socket_dir(), server.port(), "postgres", "postgres");
    let hung = psql::run(hurried.env("PGCONNECT_TIMEOUT", "2"), "SELECT 1").expect_err("nobody answers");
    assert!(hung.contains("timeout expired"), "{hung}");
    server.resume();
    assert_eq!(server.sql("postgres", "SELECT 1"), "1");
}

#[test]
fn a_session_holds_what_it_locks() {
    let server = postgres();
    let mut session = server.session("postgres");
    assert_eq!(session.run("BEGIN; CREATE TABLE t (i int); SELECT 1; SELECT 2, 3;"), "1\n2|3");
    let locked = "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock'";
    assert_ne!(server.sql("postgres", locked), "0");
    drop(session);
    eventually(SOON, "the lock is gone", || server.sql("postgres", locked) == "0");
}

#[test]
fn a_pooler_shares_one_connection_between_transactions() {
    let server = postgres();
    server.create_monitor_role();
    let pooler = PgBouncer::start(&server, "transaction", "default_pool_size = 1");
    let mut sessions = [0, 1].map(|_| Session::open(&mut pooler.psql("pgvigil", "postgres")));
    let [one, other] = sessions.each_mut().map(|session| session.run("SELECT pg_backend_pid();"));
    assert_eq!(one, other);
    assert!(pooler.console("SHOW POOLS;").contains("postgres|pgvigil|2|0|"), "{}", pooler.console("SHOW POOLS;"));
}

#[test]
fn a_pooler_refuses_startup_options_or_ignores_them() {
    let server = postgres();
    server.create_monitor_role();
    let ask =
        |pooler: &PgBouncer| psql::run(pooler.psql("pgvigil", "postgres").env("PGOPTIONS", "-c jit=off"), "SELECT 1");
    let refused = ask(&PgBouncer::start(&server, "transaction", "")).expect_err("options are not known");
    assert!(refused.contains("unsupported startup parameter"), "{refused}");
    assert_eq!(ask(&PgBouncer::start(&server, "transaction", pgbouncer::IGNORE_OPTIONS)), Ok("1".to_owned()));
}

#[test]
fn prometheus_scrapes_and_answers() {
    let prometheus = Prometheus::start("- {job_name: p, static_configs: [{targets: ['127.0.0.1:1']}]}");
    eventually(SOON, "a scrape fails", || prometheus.value("up{job='p'}") == Some(0.0));
    assert_eq!(prometheus.value("nothing"), None);
}

#[test]
fn promtool_judges_a_page() {
    let good = "# HELP a_total Things.\n# TYPE a_total counter\na_total 1\n";
    assert!(promtool_check_metrics(good).status.success());
    assert!(!promtool_check_metrics("a{ 1\n").status.success());
}

#[test]
fn a_sample_is_found_by_its_labels() {
    let page = "# HELP a x\na{b=\"1\",c=\"{\\\"}\\\\\\n\"} 2 1700000000\na{b=\"2\"} 3\nd 4\n";
    assert_eq!(sample(page, "a", &[("c", "{\"}\\\n")]), Some(2.0));
    assert_eq!(sample(page, "a", &[("b", "2")]), Some(3.0));
    assert_eq!(sample(page, "d", &[]), Some(4.0));
    assert_eq!(sample(page, "a", &[("b", "3")]), None);
    assert_eq!(page::count(page), 3);
}

/// Set in the process that `nothing_is_left_when_the_owner_is_killed` starts and kills.
const WAITS: &str = "PGVIGIL_TEST_WAITS";

#[test]
fn nothing_is_left_after_a_drop() {
    let server = postgres();
    let pooler = PgBouncer::start(&server, "session", "");
    let prometheus = Prometheus::start("");
    let folder = server.socket_dir().to_owned();
    let pids = family(&[server.pid(), pooler.pid(), prometheus.pid()]);
    assert!(folder.exists() && pids.iter().all(|&pid| process::is_alive(pid)));
    let numbers: Vec<_> = pids.iter().map(u32::to_string).collect();
    println!("owns {} {}", folder.display(), numbers.join(" "));
    while env::var_os(WAITS).is_some() {
        thread::park();
    }
    server.pause();
    drop((server, pooler, prometheus));
    assert!(!folder.exists());
    assert!(!pids.iter().any(|&pid| process::is_alive(pid)));
}

/// The test above in a process of its own, which is killed while it owns servers.
#[test]
fn nothing_is_left_when_the_owner_is_killed() {
    let mut owner = Command::new(env::current_exe().expect("our own path"));
    owner.args(["--exact", "servers::nothing_is_left_after_a_drop", "--nocapture"]);
    let mut owner = owner.env(WAITS, "1").stdout(Stdio::piped()).spawn().expect("starting ourselves");
    let stdout = BufReader::new(owner.stdout.take().expect("a pipe"));
    // `owns FOLDER PID PID ...`, behind what the test runner says.
    let line = stdout.lines().map_while(Result::ok).find_map(|line| Some(line.split_once("owns ")?.1.to_owned()));
    let line = line.expect("the owner says what it owns");
    let (folder, pids) = line.split_once(' ').expect("a folder and processes");
    let pids: Vec<u32> = pids.split(' ').map(|pid| pid.parse().expect("a process id")).collect();
    assert!(Path::new(folder).exists() && pids.iter().all(|&pid| process::is_alive(pid)));
    owner.kill().expect("killing the owner");
    owner.wait().expect("reaping the owner");
    eventually(SOON, "the guardians end the servers", || !pids.iter().any(|&pid| process::is_alive(pid)));
    eventually(SOON, "the guardians remove the folders", || !Path::new(folder).exists());
}

/// Processes and their children.
fn family(parents: &[u32]) -> Vec<u32> {
    parents.iter().flat_map(|&parent| [vec![parent], process::children(parent)].concat()).collect()
}

#[test]
fn passwords_survive_a_url() {
    let server = postgres();
    server.create_role("\"o'dd\"", "");
    let url = server.url("o'dd", "postgres");
    assert!(!url.contains(PASSWORD));
    assert_eq!(
        psql::run(psql::psql("127.0.0.1", 1, "x", &url).env_remove("PGPASSWORD"), "SELECT user"),
        Ok("o'dd".to_owned())
    );
}
