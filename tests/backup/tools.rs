//! Tools that fail in every way a program can, beside one that works.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use super::{check, reason, settings, until, watch};
use crate::support::{BUSY, Folder, expect_ended, process::is_alive, sample};

/// What pgBackRest says of a stanza with one backup that ended at this time.
fn info(end: u64) -> String {
    format!(
        r#"[{{"name":"main","repo":[{{"key":1,"cipher":"none","status":{{"code":0}}}}],"status":{{"code":0}},"backup":[{{"type":"full","database":{{"id":1,"repo-key":1}},"timestamp":{{"start":{},"stop":{end}}}}}]}}]"#,
        end - 60
    )
}

/// A repository whose tool is a script.
fn tool(folder: &Folder, name: &str, script: &str) -> String {
    let file = folder.write(&format!("{name}.sh"), script);
    format!("{{name: {name}, tool: pgbackrest, exec: [/bin/sh, {}]}}", file.display())
}

#[test]
fn p22_each_way_to_fail_has_its_reason_and_hides_nothing_else() {
    let folder = Folder::new("tools", "TERM");
    folder.write("info.json", &info(1_600_000_000));
    let at = folder.path().display().to_string();
    let cases = [
        ("well", format!("cat {at}/info.json"), None),
        ("noisy", format!("yes complaint | head -c 1000000 >&2; cat {at}/info.json"), None),
        ("latin", format!("sed 's/main/m\\xe4in/' {at}/info.json"), None),
        ("failing", "echo first; echo 'cannot open repository' >&2; exit 7".to_owned(), Some("failed")),
        (
            "unread",
            r#"echo '[{"name":"main","backup":[],"repo":[{"key":1,"status":{"code":99,"message":"no route"}}]}]'"#
                .to_owned(),
            Some("failed"),
        ),
        (
            "root",
            "echo \"ERROR: [031]: the 'info' command must not be run as the root user\" >&2; exit 31".to_owned(),
            Some("failed"),
        ),
        ("killed", "kill -9 $$".to_owned(), Some("failed")),
        ("garbage", "echo 'WARN: <html>'".to_owned(), Some("garbage")),
        ("other", "echo '{\"servers\": {}}'".to_owned(), Some("garbage")),
        ("silent", "exit 0".to_owned(), Some("garbage")),
        ("endless", "head -c 100000000 /dev/zero".to_owned(), Some("too_large")),
        ("deep", "head -c 200000 /dev/zero | tr '\\0' '['".to_owned(), Some("garbage")),
        ("deeper", "head -c 1000000 /dev/zero | tr '\\0' '['".to_owned(), Some("too_large")),
        ("many", "echo [0; yes ,0 | head -n 3000000; echo ]".to_owned(), Some("too_large")),
        ("reading", "cat".to_owned(), Some("garbage")),
    ];
    let mut repositories: Vec<_> = cases.iter().map(|(name, script, _)| tool(&folder, name, script)).collect();
    repositories.push("{name: absent, tool: pgbackrest, binary: /nonexistent/pgbackrest}".to_owned());
    repositories.push("{name: walg, tool: walg, binary: no-such-walg}".to_owned());
    let settings = settings(&repositories);
    let pgvigil = watch(&settings);
    let page = pgvigil.scrape();
    let more = [("absent", Some("missing")), ("walg", Some("missing"))];
    for (name, expected) in cases.iter().map(|(name, _, expected)| (*name, *expected)).chain(more) {
        assert_eq!(reason(&page, name, "information"), expected, "{name}\n{}", pgvigil.stderr());
        let up = f64::from(u8::from(expected.is_none()));
        assert_eq!(sample(&page, "pgvigil_backup_up", &[("repository", name)]), Some(up), "{name}");
        let points = sample(&page, "pgvigil_backup_restore_points", &[("repository", name)]);
        assert_eq!(points, expected.is_none().then_some(1.0), "{name}: unknown is not none");
    }
    // An old backup is old, and known.
    let full = [("repository", "well"), ("backup_type", "full")];
    assert_eq!(sample(&page, "pgvigil_backup_last_timestamp_seconds", &full), Some(1_600_000_000.0));
    assert_eq!(sample(&page, "pgvigil_backup_last_duration_seconds", &full), Some(60.0));
    assert!(
        sample(&page, "pgvigil_backup_values_skipped_total", &[("repository", "latin")]).is_some_and(|odd| odd >= 1.0)
    );
    for said in [
        "cannot open repository",
        "exit status: 7",
        "repository 1: no route",
        "signal: 9",
        "there is no program no-such-walg",
        "more than 16 MiB",
    ] {
        assert!(pgvigil.stderr().contains(said), "{said}\n{}", pgvigil.stderr());
    }
    let (well, said) = check(&folder.write("pgvigil.yaml", &settings));
    assert!(!well && said.contains("cannot open repository") && said.contains("`from_file`"), "{said}");
    assert!(said.contains("as the root user") && said.contains("exec: [setpriv, --reuid=postgres"), "{said}");
}

#[test]
fn p22_what_hangs_is_killed_with_all_it_started_and_keeps_nobody_waiting() {
    let folder = Folder::new("hung", "TERM");
    folder.write("info.json", &info(1_600_000_000));
    let at = folder.path().display().to_string();
    // A child and a grandchild that ignore signals, and hold the pipes.
    let script = format!(
        "echo $$ >>{at}/pids; (trap '' TERM HUP; sh -c 'echo $$ >>{at}/pids; sleep 600' & echo $! >>{at}/pids; sleep 600) & sleep 600"
    );
    let well = tool(&folder, "well", &format!("cat {at}/info.json"));
    // It leaves a child behind that keeps its pipes, as an ssh that stays for the next connection does.
    let leaves = tool(&folder, "leaves", &format!("cat {at}/info.json; sleep 600 & echo $! >>{at}/left"));
    let settings = settings(&[tool(&folder, "hung", &script), well, leaves]).replace("timeout: 10s", "timeout: 4s");
    let pgvigil = watch(&settings);
    let began = Instant::now();
    pgvigil.get("/metrics", &[("X-Prometheus-Scrape-Timeout-Seconds", "3.5")]);
    expect_ended("the first scrape", began, Duration::from_millis(3500));
    // While it hangs, scrapes are answered with what is known.
    let began = Instant::now();
    let page = pgvigil.scrape();
    expect_ended("a scrape while it hangs", began, Duration::ZERO);
    assert_eq!(reason(&page, "hung", "information"), Some("pending"), "{page}");
    for name in ["well", "leaves"] {
        assert_eq!(sample(&page, "pgvigil_backup_up", &[("repository", name)]), Some(1.0), "{name}");
    }
    until(&pgvigil, "the time is up", |page| reason(page, "hung", "information") == Some("timeout"));
    assert_eq!(sample(&pgvigil.scrape(), "pgvigil_backup_up", &[("repository", "hung")]), Some(0.0));
    // By now others hang: at most one run of three processes at a time.
    crate::support::eventually(Duration::from_secs(20), "the killed are gone", || {
        pgvigil.scrape();
        let pids = pids(&folder.path().join("pids"));
        pids.len() > 3 && !is_zombie(pids[0]) && !pids[..3].iter().any(|pid| is_alive(*pid))
    });
    assert!(pids(&folder.path().join("pids")).iter().filter(|pid| is_alive(**pid)).count() <= 3);
    let left = pids(&folder.path().join("left"));
    crate::support::eventually(BUSY, "what was left behind is killed", || !left.iter().any(|pid| is_alive(*pid)));
    // The end of pgvigil is the end of them all, at once.
    until(&pgvigil, "it hangs again", |_| pids(&folder.path().join("pids")).iter().any(|pid| is_alive(*pid)));
    let began = Instant::now();
    assert!(pgvigil.stop().success());
    expect_ended("the end", began, Duration::from_secs(5));
    crate::support::eventually(BUSY, "nothing is left", || {
        !pids(&folder.path().join("pids")).iter().chain(&pids(&folder.path().join("left"))).any(|pid| is_alive(*pid))
    });
}

fn pids(file: &Path) -> Vec<u32> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| line.trim().parse().ok()).collect()
}

/// Ended, and reaped by nobody.
fn is_zombie(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
}

#[test]
fn what_was_known_stays_while_the_tool_fails_and_is_not_too_old() {
    let folder = Folder::new("kept", "TERM");
    folder.write("info.json", &info(1_700_000_000));
    let file = folder.path().join("info.json");
    let kept = format!("{{name: kept, tool: pgbackrest, exec: [/bin/cat, {}]}}", file.display());
    let short = format!("{{name: short, tool: pgbackrest, max_age: 4s, exec: [/bin/cat, {}]}}", file.display());
    let pgvigil = watch(&settings(&[kept, short]));
    let of = |page: &str, name: &str| {
        (
            sample(page, "pgvigil_backup_up", &[("repository", name)]),
            sample(page, "pgvigil_backup_last_timestamp_seconds", &[("repository", name)]),
        )
    };
    let page = pgvigil.scrape();
    for name in ["kept", "short"] {
        assert_eq!(of(&page, name), (Some(1.0), Some(1_700_000_000.0)), "{page}");
    }
    fs::remove_file(&file).expect("removing a file");
    let page = until(&pgvigil, "the tool fails", |page| of(page, "kept").0 == Some(0.0));
    assert_eq!(of(&page, "kept").1, Some(1_700_000_000.0), "a backup that is old stays to be seen");
    let page = until(&pgvigil, "it is too old", |page| of(page, "short").1.is_none());
    assert_eq!(of(&page, "kept"), (Some(0.0), Some(1_700_000_000.0)));
    assert_eq!(of(&page, "short").0, Some(0.0));
    folder.write("info.json", &info(1_710_000_000));
    until(&pgvigil, "it works again", |page| {
        ["kept", "short"].iter().all(|name| of(page, name) == (Some(1.0), Some(1_710_000_000.0)))
    });
    assert!(pgvigil.stderr().contains("known again"), "{}", pgvigil.stderr());
}

#[test]
fn a_tool_gets_its_own_variables_and_no_secret_of_others() {
    let folder = Folder::new("env", "TERM");
    folder.write("info.json", &info(1_700_000_000));
    let at = folder.path().display().to_string();
    let script = folder.write("env.sh", &format!("env >{at}/env; cat {at}/info.json"));
    let repository = format!(
        "{{name: env, tool: pgbackrest, exec: [/bin/sh, {}], env: {{PGBACKREST_REPO1_CIPHER_PASS: \"x${{ORDERS_PASSWORD}}\"}}}}",
        script.display()
    );
    let pgvigil = watch(&settings(&[repository]));
    assert_eq!(sample(&pgvigil.scrape(), "pgvigil_backup_up", &[("repository", "env")]), Some(1.0));
    let env = fs::read_to_string(folder.path().join("env")).expect("what it was given");
    assert!(env.contains("PATH=") && env.contains("PGBACKREST_REPO1_CIPHER_PASS=xs3cret"), "{env}");
    assert!(!env.contains("ORDERS_PASSWORD"), "{env}");
    assert!(!pgvigil.stderr().contains("s3cret"));
}
