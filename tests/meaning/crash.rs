//! A process of the server is killed: the server recovers, and tells so by one of its two start times. And replicas that live from an archive.

use crate::support::{
    Postgres, majors, page,
    process::{children, signal},
};

use super::{expect_soon, look, server, until};

/// When the server started, and when its checkpointer did.
fn starts(server: &Postgres) -> [f64; 2] {
    let page = look(server, &["server"]);
    ["pg_postmaster_start_time_seconds", "pg_checkpointer_start_timestamp_seconds"]
        .map(|name| page::samples(&page, name, &[])[0])
}

#[test]
fn a_crash_starts_the_checkpointer_anew_and_not_the_server() {
    for major in majors() {
        let primary = server(major, "");
        let replica = primary.replica();
        for server in [&primary, &replica] {
            let [started, recovered] = starts(server);
            assert!(started <= recovered, "PostgreSQL {major}: {started}, {recovered}");
            let victim =
                server.sql("postgres", "SELECT pid FROM pg_stat_activity WHERE backend_type = 'background writer'");
            assert!(children(server.pid()).contains(&victim.parse().expect("a pid")), "PostgreSQL {major}: {victim}");
            signal("KILL", &[victim.parse().expect("a pid")]);
            until(server, &format!("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = {victim}"));
            until(server, "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'checkpointer'");
            let [same, later] = starts(server);
            assert!(same == started && later > recovered, "PostgreSQL {major}: {started} {same}, {recovered} {later}");
        }
        // A promotion is none.
        let before = starts(&replica);
        replica.promote();
        assert_eq!(starts(&replica), before, "PostgreSQL {major}");
    }
}

#[test]
fn a_replica_without_an_upstream_says_so() {
    for major in majors() {
        let primary = server(major, "");
        let replica = primary.replica();
        expect_soon(&replica, &["replication"], "pg_stat_wal_receiver_up = 1\npg_replication_upstream_configured = 1");
        replica.sql("postgres", "ALTER SYSTEM SET primary_conninfo = ''");
        replica.sql("postgres", "SELECT pg_reload_conf()");
        expect_soon(&replica, &["replication"], "pg_stat_wal_receiver_up = 0\npg_replication_upstream_configured = 0");
        replica.sql("postgres", "ALTER SYSTEM RESET primary_conninfo");
    }
}
