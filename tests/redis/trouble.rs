//! Promises 2, 3, 13 and 22 for Redis: down, hung, restarted, loading, full: told by name, and recovered from.

use super::*;
use crate::support::Folder;

/// Two servers in one page: what happens to the first does not touch the second.
#[test]
fn p22_one_that_hangs_or_dies_keeps_no_other_waiting() {
    let (first, second) = (Redis::start(""), Redis::start(""));
    let target = |name: &str, redis: &Redis| format!("  - {{name: {name}, redis: {{url: '{}'}}}}\n", redis.url());
    let folder = Folder::new("settings", "TERM");
    let text = format!("targets:\n{}{}", target("first", &first), target("second", &second));
    let config = folder.write("pgvigil.yaml", &text).display().to_string();
    let pgvigil = Pgvigil::start(BINARY, &["--config", &config], &[]);
    let ups = || {
        let page = scrape(&pgvigil);
        let up = |name| sample(&page, "redis_up", &[("target", name)]);
        assert!(sample(&page, "redis_uptime_in_seconds", &[("target", "second")]).is_some());
        (up("first"), up("second"), reason(&page))
    };
    assert_eq!(ups(), (Some(1.0), Some(1.0), None));
    for _ in 0..2 {
        first.signal("STOP");
        for _ in 0..3 {
            let (up, other, reason) = ups();
            assert_eq!((up, other), (Some(0.0), Some(1.0)));
            let reason = reason.expect("a reason");
            assert!(["timeout", "login_pending"].contains(&reason.as_str()), "{reason}");
        }
        first.signal("CONT");
        assert_eq!(ups(), (Some(1.0), Some(1.0), None), "the first scrape after");
        first.kill();
        for _ in 0..6 {
            assert_eq!(ups(), (Some(0.0), Some(1.0), Some("unreachable".to_owned())));
        }
        first.start_again();
        assert_eq!(ups(), (Some(1.0), Some(1.0), None), "the first scrape after");
    }
}

#[test]
fn p13_a_restart_between_two_scrapes_is_not_seen_as_down() {
    let redis = Redis::start("");
    let pgvigil = watch(&redis.url());
    for _ in 0..10 {
        expect_up(&pgvigil, "always");
        redis.kill();
        redis.start_again();
    }
    (0..10).for_each(|_| {
        redis.run("CLIENT KILL TYPE normal SKIPME yes");
        expect_up(&pgvigil, "after its session was ended");
    });
    assert!(pgvigil.scrape().contains("pgvigil_sessions{target=\"redis\"} 1"));
}

#[test]
fn p13_troubles_are_told_by_name_and_recovered_from() {
    let redis = Redis::start("--maxclients 10");
    let pgvigil = watch(&redis.url());
    expect_up(&pgvigil, "before");
    // Clients that take all places.
    let connect = |_| std::os::unix::net::UnixStream::connect(redis.socket()).expect("a connection");
    redis.run("CLIENT KILL TYPE normal SKIPME yes");
    let clients: Vec<_> = (0..12).map(connect).collect();
    let fresh = watch(&redis.url());
    for pgvigil in [&pgvigil, &fresh] {
        (0..2).for_each(|_| _ = expect_down(pgvigil, "connections_exhausted", "maxclients"));
    }
    drop(clients);
    crate::support::eventually(PATIENCE, "places are free again", || redis.run("PING") == "PONG");
    [&pgvigil, &fresh].iter().for_each(|pgvigil| _ = expect_up(pgvigil, "places are free"));
    // A password from now on.
    redis.run(&format!("CONFIG SET requirepass {}\nCLIENT KILL TYPE normal", quoted("")));
    (0..2).for_each(|_| _ = expect_down(&pgvigil, "authentication", "a new password"));
    redis.run_as(Some(PASSWORD), "CONFIG SET requirepass \"\"");
    expect_up(&pgvigil, "no password");
    // A script that does not end.
    redis.run("CONFIG SET busy-reply-threshold 1\nCONFIG SET lua-time-limit 1");
    let forever = format!("exec redis-cli -s {} EVAL 'while true do end' 0", redis.socket().display());
    let _script = crate::support::process::Process::start(redis.folder().command("sh").args(["-c", &forever]));
    crate::support::eventually(PATIENCE, "the script runs", || redis.run("PING").starts_with("BUSY"));
    (0..2).for_each(|_| _ = expect_down(&pgvigil, "refused", "a script"));
    assert_eq!(redis.run("SCRIPT KILL"), "OK");
    crate::support::eventually(PATIENCE, "the script ended", || redis.run("PING") == "PONG");
    expect_up(&pgvigil, "the script ended");
}

#[test]
fn p13_a_server_that_loads_its_data_is_starting() {
    let redis = Redis::start("");
    redis.run(&(0..20_000).map(|n| format!("SET key{n} 1\n")).collect::<String>());
    assert_eq!(redis.run("SAVE"), "OK");
    redis.kill();
    // 20,000 keys at a tenth of a millisecond.
    let slow = Redis::start_in(
        Folder::for_server("redis-slow", "TERM"),
        &crate::support::redis_programs()[0],
        &format!(
            "--dir {} --key-load-delay 200 --loading-process-events-interval-bytes 1024",
            redis.folder().path().display()
        ),
    );
    let pgvigil = watch(&slow.url());
    expect_down(&pgvigil, "starting", "loading");
    assert!(pgvigil.stderr().contains("loading its data: "), "{}", pgvigil.stderr());
    crate::support::eventually(PATIENCE, "it has loaded", || slow.run("PING") == "PONG");
    let page = expect_up(&pgvigil, "loaded");
    assert_eq!(sample(&page, "redis_db_keys", &[("db", "db0")]), Some(20_000.0));
}
