//! What was done to a server is what the page says of it.

use std::{fs, os::unix::fs::PermissionsExt};

use super::*;
use crate::support::{eventually, redis_programs};

/// Waits for a page that says so.
fn until(pgvigil: &Pgvigil, what: &str, is_so: impl Fn(&str) -> bool) -> String {
    let mut page = String::new();
    eventually(PATIENCE, what, || {
        page = scrape(pgvigil);
        is_so(&page)
    });
    page
}

fn has(page: &str, name: &str, labels: &[(&str, &str)], value: f64) -> bool {
    sample(page, name, labels) == Some(value)
}

#[test]
fn what_was_done_is_what_the_page_says() {
    for program in redis_programs() {
        let redis = Redis::start_as(&program, "--slowlog-log-slower-than 0 --latency-monitor-threshold 1");
        let pgvigil = watch(&redis.url());
        let before = expect_up(&pgvigil, "at first");
        assert_eq!((skipped(&before), failed(&before)), (vec![], vec![]), "{}", program.display());
        redis.run("CONFIG RESETSTAT\nSET a 1\nSET b 2 EX 1000\nSELECT 3\nSET c 1\nSELECT 0\nGET a\nGET a\nGET none\nLPUSH a x");
        redis.run("SET soon 1 PX 1\nSLOWLOG RESET\nGET a");
        let page = until(&pgvigil, "a key expires", |page| has(page, "redis_expired_keys_total", &[], 1.0));
        for (name, labels, value) in [
            ("redis_keyspace_hits_total", &[][..], 3.0),
            ("redis_keyspace_misses_total", &[], 1.0),
            ("redis_db_keys", &[("db", "db0")], 2.0),
            ("redis_db_keys_expiring", &[("db", "db0")], 1.0),
            ("redis_db_keys", &[("db", "db3")], 1.0),
            ("redis_commands_total", &[("cmd", "get")], 4.0),
            ("redis_commands_total", &[("cmd", "set")], 4.0),
            ("redis_commands_failed_calls_total", &[("cmd", "lpush")], 1.0),
            ("redis_errors_total", &[("err", "WRONGTYPE")], 1.0),
            ("redis_config_slowlog_threshold_seconds", &[], 0.0),
            ("redis_config_latency_monitor_threshold_seconds", &[], 0.001),
            ("redis_config_maxclients", &[], 10000.0),
            ("redis_config_maxmemory", &[], 0.0),
            ("redis_connected_slaves", &[], 0.0),
            ("redis_cluster_enabled", &[], 0.0),
            ("redis_rdb_last_bgsave_status", &[], 1.0),
        ] {
            assert_eq!(sample(&page, name, labels), Some(value), "{}: {name} {labels:?}", program.display());
        }
        let ttl = sample(&page, "redis_db_avg_ttl_seconds", &[("db", "db0")]);
        assert!(ttl.is_none_or(|ttl| (0.0..=1000.0).contains(&ttl)), "{ttl:?}");
        assert!(sample(&page, "redis_slowlog_length", &[]) > Some(1.0), "our own commands are slow too");
        for absent in [
            "redis_memory_max_bytes",
            "redis_rdb_last_bgsave_duration_sec",
            "redis_master_link_up",
            "redis_cluster_state",
        ] {
            assert!(!page.contains(&format!("\n{absent}")), "{}: {absent}", program.display());
        }
        redis.run("DEBUG SLEEP 0.02");
        blocked_and_full(&redis, &pgvigil);
    }
}

/// Clients that wait, memory that is full, and the time in which it was.
fn blocked_and_full(redis: &Redis, pgvigil: &Pgvigil) {
    let ask = format!("redis-cli -s {} BLPOP nothing 0", redis.socket().display());
    let _waiting =
        crate::support::process::Process::start(redis.folder().command("sh").args(["-c", &format!("exec {ask}")]));
    let page = until(pgvigil, "a client waits", |page| has(page, "redis_blocked_clients", &[], 1.0));
    let used = sample(&page, "redis_memory_used_bytes", &[]).expect("memory");
    let limit = used as u64 + (1 << 20);
    redis.run(&format!("CONFIG SET maxmemory-policy allkeys-lru\nCONFIG SET maxmemory {limit}"));
    redis.run(&(0..400).map(|n| format!("SET large{n} {}\n", "x".repeat(10_000))).collect::<String>());
    let page = expect_up(pgvigil, "full");
    assert_eq!(sample(&page, "redis_memory_max_bytes", &[]), Some(limit as f64));
    assert_eq!(sample(&page, "redis_config_maxmemory", &[]), Some(limit as f64));
    assert!(sample(&page, "redis_evicted_keys_total", &[]) > Some(50.0), "{page}");
    assert!(sample(&page, "redis_total_system_memory_bytes", &[]) > Some(limit as f64));
    assert!(page.contains("maxmemory_policy=\"allkeys-lru\""));
}

#[test]
fn snapshots_that_succeed_and_fail_are_seen() {
    for program in redis_programs() {
        let redis = Redis::start_as(&program, "");
        let pgvigil = watch(&redis.url());
        redis.run("SET a 1\nBGSAVE");
        let duration = "redis_rdb_last_bgsave_duration_sec";
        let page = until(&pgvigil, "a snapshot", |page| sample(page, duration, &[]).is_some());
        assert!(has(&page, "redis_rdb_changes_since_last_save", &[], 0.0), "{page}");
        fs::set_permissions(redis.folder().path(), fs::Permissions::from_mode(0o500)).expect("permissions");
        redis.run("SET a 2\nBGSAVE");
        let page = until(&pgvigil, "a failed one", |page| has(page, "redis_rdb_last_bgsave_status", &[], 0.0));
        fs::set_permissions(redis.folder().path(), fs::Permissions::from_mode(0o700)).expect("permissions");
        assert!(has(&page, "redis_rdb_changes_since_last_save", &[], 1.0));
        redis.run("BGREWRITEAOF\nCONFIG SET appendonly yes");
        until(&pgvigil, "an append-only file", |page| sample(page, "redis_aof_current_size_bytes", &[]).is_some());
    }
}

#[test]
fn a_replica_and_its_link_are_seen_from_both_ends() {
    for program in redis_programs() {
        let primary = Redis::start_as(&program, "");
        let replica = primary.replica("");
        let (here, there) = (watch(&primary.url()), watch(&replica.url()));
        let up = |page: &str| has(page, "redis_master_link_up", &[("master_host", "127.0.0.1")], 1.0);
        let page = until(&there, "the link is up", up);
        assert!(page.contains("role=\"slave\""), "{page}");
        primary.run("SET a 1");
        let offset = "redis_connected_slave_offset_bytes";
        let online = [("slave_state", "online"), ("slave_ip", "127.0.0.1")];
        let page = until(&here, "the replica has it all", |page| {
            let confirmed = sample(page, offset, &online);
            confirmed.is_some() && confirmed == sample(page, "redis_master_repl_offset", &[])
        });
        assert_eq!(sample(&page, "redis_connected_slaves", &[]), Some(1.0));
        assert_eq!(sample(&page, "redis_replica_resyncs_full", &[]), Some(1.0));
        assert!(sample(&page, "redis_connected_slave_lag_seconds", &online) <= Some(10.0));
        assert!(!page.contains("\nredis_master_link_up"));
        primary.kill();
        let page = until(&there, "the link is down", |page| has(page, "redis_master_link_up", &[], 0.0));
        assert!(sample(&page, "redis_master_link_down_since_seconds", &[]) >= Some(0.0), "{page}");
        assert_eq!(sample(&page, "redis_master_last_io_seconds_ago", &[]), None);
    }
}

/// Behind NAT replicas announce the same address: the one that lags shows, whichever came first.
#[test]
fn of_replicas_of_one_address_the_last_is_shown() {
    for program in redis_programs() {
        let primary = Redis::start_as(&program, "");
        let announced = "--replica-announce-ip 192.0.2.1 --replica-announce-port 6379";
        let follow = |name: &str| {
            let options = format!("--replicaof 127.0.0.1 {} --repl-diskless-sync-delay 0 {announced}", primary.port());
            let replica = Redis::start_as(&program, &options);
            crate::support::eventually(PATIENCE, name, || {
                replica.run("INFO replication").contains("master_link_status:up")
            });
            replica
        };
        let (first, second) = (follow("the first follows"), follow("the second follows"));
        let pgvigil = watch(&primary.url());
        let online = [("slave_ip", "192.0.2.1"), ("slave_port", "6379"), ("slave_state", "online")];
        for lagging in [&first, &second] {
            lagging.signal("STOP");
            primary.run("SET a 1");
            let page = until(&pgvigil, "the one that hangs is seen", |page| {
                sample(page, "redis_connected_slave_lag_seconds", &online) >= Some(3.0)
                    && sample(page, "redis_connected_slave_offset_bytes", &online)
                        < sample(page, "redis_master_repl_offset", &[])
            });
            assert_eq!(sample(&page, "redis_connected_slaves", &[]), Some(2.0));
            assert_eq!(sample(&page, "pgvigil_rows_duplicate_total", &[("collector", "redis_replication")]), Some(0.0));
            lagging.signal("CONT");
            until(&pgvigil, "it has caught up", |page| {
                sample(page, "redis_connected_slave_lag_seconds", &online) <= Some(1.0)
            });
        }
    }
}

#[test]
fn a_cluster_is_seen() {
    for program in redis_programs() {
        // The port of the nodes' own talk is 10000 above the other.
        let redis = Redis::start_as(&program, "--cluster-enabled yes");
        let pgvigil = watch(&redis.url());
        let page = expect_up(&pgvigil, "a node alone");
        assert!(has(&page, "redis_cluster_enabled", &[], 1.0) && has(&page, "redis_cluster_state", &[], 0.0), "{page}");
        let slots: String = (0..16384).map(|slot| format!(" {slot}")).collect();
        assert_eq!(redis.run(&format!("CLUSTER ADDSLOTS{slots}")), "OK");
        let page = until(&pgvigil, "the cluster works", |page| has(page, "redis_cluster_state", &[], 1.0));
        assert!(has(&page, "redis_cluster_slots_assigned", &[], 16384.0), "{page}");
        assert!(has(&page, "redis_cluster_known_nodes", &[], 1.0) && has(&page, "redis_cluster_size", &[], 1.0));
        assert_eq!((skipped(&page), failed(&page)), (vec![], vec![]));
    }
}
