//! The access that suffices: exactly that is needed, and what is lacking is named.

use super::*;
use crate::support::{Folder, redis_programs};

/// What docs/settings.md says, and what each gives.
const RULES: [(&str, &str); 7] = [
    ("+info", "redis redis_cluster redis_commands redis_identity redis_memory redis_persistence redis_replication"),
    ("+config|get", "redis_config"),
    ("+slowlog|len", "redis_commands"),
    ("+latency|latest", "redis_commands"),
    ("+cluster|info", ""),
    ("+select", ""),
    ("+client|setname", ""),
];

fn rules(without: &str) -> String {
    let kept: Vec<_> = RULES.iter().map(|(rule, _)| *rule).filter(|rule| *rule != without).collect();
    format!("-@all {}", kept.join(" "))
}

#[test]
fn the_documented_access_suffices_and_what_is_lacking_is_named() {
    let page = std::fs::read_to_string("docs/settings.md").expect("docs/settings.md");
    assert!(page.contains(&rules("")), "docs/settings.md: {}", rules(""));
    for program in redis_programs() {
        let redis = Redis::start_as(&program, "");
        let url = format!("{}/1", redis.url_as("pgvigil"));
        set_user(&redis, "pgvigil", &rules(""));
        let pgvigil = watch(&url);
        let page = expect_up(&pgvigil, "all of it");
        assert_eq!((skipped(&page), failed(&page)), (vec![], vec![]));
        let (well, said) = check(&url);
        assert!(well && !said.contains("off "), "{said}");
        for (rule, gives) in RULES {
            set_user(&redis, "pgvigil", &rules(rule));
            let page = expect_up(&watch(&url), rule);
            let expected: Vec<_> =
                gives.split_whitespace().map(|name| (name.to_owned(), "privilege".to_owned())).collect();
            assert_eq!((skipped(&page), failed(&page)), (expected, vec![]), "{}: {rule}", program.display());
            assert!(page.contains("\nredis_config_maxclients") || rule == "+config|get", "{rule}");
            assert!(page.contains("\nredis_uptime_in_seconds") || rule == "+info", "{rule}");
            let (well, said) = check(&url);
            assert!(well, "{said}");
            let told = said.contains(&format!("; run ACL SETUSER pgvigil {rule}"));
            assert_eq!(told, !gives.is_empty(), "{rule}: {said}");
        }
    }
}

/// A denial is not repeated with every scrape: the server keeps a log of them.
#[test]
fn what_is_denied_is_not_asked_again_at_once() {
    let redis = Redis::start("");
    set_user(&redis, "pgvigil", "-@all +info");
    let pgvigil = watch(&redis.url_as("pgvigil"));
    let denied =
        || redis.run("INFO errorstats").lines().find(|line| line.starts_with("errorstat_NOPERM")).map(str::to_owned);
    expect_up(&pgvigil, "first");
    let before = denied();
    (0..5).for_each(|_| _ = expect_up(&pgvigil, "again"));
    assert!(before.is_some());
    assert_eq!(denied(), before);
}

/// Providers rename commands that they do not allow.
#[test]
fn a_server_without_config_tells_the_rest() {
    let redis = Redis::start("--rename-command CONFIG hidden1 --rename-command SLOWLOG hidden2");
    let page = expect_up(&watch(&redis.url()), "renamed");
    let expected = ["redis_commands", "redis_config"].map(|name| (name.to_owned(), "privilege".to_owned()));
    assert_eq!((skipped(&page), failed(&page)), (expected.to_vec(), vec![]));
    assert!(sample(&page, "redis_max_clients", &[]) == Some(10000.0));
    let (well, said) = check(&redis.url());
    assert!(well && said.contains("CONFIG GET does not exist here") && !said.contains("ACL SETUSER"), "{said}");
}

/// A Sentinel is no server with data, and has few of its commands: no right would help.
#[test]
fn a_sentinel_is_told_from_a_server() {
    let folder = Folder::for_server("sentinel", "TERM");
    folder.write("sentinel.conf", "");
    let program = redis_programs()[0].display().to_string();
    let script = folder.write("sentinel", &format!("#!/bin/sh\nexec {program} sentinel.conf \"$@\" --sentinel\n"));
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("its mode");
    let sentinel = Redis::start_in(folder, &script, "");
    let page = expect_up(&watch(&sentinel.url()), "a sentinel");
    assert!(skipped(&page).iter().all(|(_, reason)| reason == "privilege") && failed(&page).is_empty(), "{page}");
    let (well, said) = check(&sentinel.url());
    assert!(well && said.contains(", sentinel\n") && !said.contains("needs +"), "{said}");
}
