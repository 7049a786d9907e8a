//! Promise 13: connections exhausted, password revoked, server restarted: told by name, and recovered from.

use std::{any::Any, time::Duration};

use crate::support::{PASSWORD, Pgvigil, Postgres, Session, Stop, eventually};

use super::{Scrape, backends, figure, millis, prepared, terminate, versions, watch};

struct Trouble {
    name: &'static str,
    begin: fn(&Postgres) -> Box<dyn Any>,
    mend: fn(&Postgres),
    reason: &'static str,
}

fn alter(server: &Postgres, sql: &str) -> Box<dyn Any> {
    server.sql("postgres", sql);
    terminate(server);
    Box::new(())
}

/// Takes every connection that is not reserved for superusers.
fn exhaust(server: &Postgres) -> Box<dyn Any> {
    let session =
        || Session::open(&mut crate::support::psql::psql(server.socket_dir(), server.port(), "other", "postgres"));
    // What pgvigil was still asking in the background goes on, on another session, once or twice.
    eventually(Duration::from_secs(20), "pgvigil lets go", || {
        terminate(server);
        millis(100);
        backends(server) == 0
    });
    let mut sessions: Vec<Session> = (0..7).map(|_| session()).collect();
    sessions.iter_mut().for_each(|session| _ = session.run("SELECT 1;"));
    Box::new(sessions)
}

/// Until what a dropped session held is free.
fn wait_for_room(server: &Postgres) {
    let used = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'other'";
    eventually(Duration::from_secs(10), "sessions end", || server.sql("postgres", used) == "0");
}

/// The limit of `export grants` is for one pgvigil; here two watch.
fn two_of_us(server: &Postgres) {
    server.sql("postgres", "ALTER ROLE pgvigil CONNECTION LIMIT 20");
}

const TROUBLES: [Trouble; 5] = [
    Trouble { name: "connections exhausted", begin: exhaust, mend: wait_for_room, reason: "connections_exhausted" },
    Trouble {
        name: "another password",
        begin: |server| alter(server, "ALTER ROLE pgvigil PASSWORD 'another'"),
        mend: |server| {
            let password = PASSWORD.replace('\'', "''");
            server.sql("postgres", &format!("ALTER ROLE pgvigil PASSWORD '{password}'"));
        },
        reason: "authentication",
    },
    Trouble {
        name: "no login",
        begin: |server| alter(server, "ALTER ROLE pgvigil NOLOGIN"),
        mend: |server| _ = server.sql("postgres", "ALTER ROLE pgvigil LOGIN"),
        reason: "authentication",
    },
    Trouble {
        name: "too many of our role",
        begin: |server| alter(server, "ALTER ROLE pgvigil CONNECTION LIMIT 0"),
        mend: two_of_us,
        reason: "connections_exhausted",
    },
    Trouble {
        name: "stopped",
        begin: |server| {
            server.stop(Stop::Immediate);
            Box::new(())
        },
        mend: Postgres::start,
        reason: "unreachable",
    },
];

fn expect_told(pgvigil: &Pgvigil, trouble: &Trouble) {
    for _ in 0..6 {
        let scrape = Scrape::in_time(pgvigil).expect_up(false, trouble.name);
        assert_eq!(scrape.reason().as_deref(), Some(trouble.reason), "{}: {}", trouble.name, scrape.own());
        assert_eq!(scrape.of_server(), [""; 0]);
    }
}

#[test]
fn p13_troubles_are_told_by_name_and_recovered_from() {
    for major in versions() {
        let server = prepared(Postgres::builder(major).config("max_connections = 10").start());
        server.create_role("other", "");
        two_of_us(&server);
        let kept = watch(&server, &[]);
        for trouble in &TROUBLES {
            Scrape::of(&kept, None).expect_up(true, "before");
            let broken = (trouble.begin)(&server);
            let fresh = watch(&server, &[]);
            [&kept, &fresh].into_iter().for_each(|pgvigil| expect_told(pgvigil, trouble));
            drop(broken);
            (trouble.mend)(&server);
            for pgvigil in [&kept, &fresh] {
                let what = format!("the first scrape after: {}", trouble.name);
                let scrape = Scrape::first_after(&server, pgvigil, &what);
                assert_eq!(scrape.reason(), None);
                figure(
                    13,
                    &format!("PostgreSQL {major}, {}, first scrape after", trouble.name),
                    format!("{:?}", scrape.took),
                );
            }
        }
        (0..3).for_each(|_| {
            server.restart();
            Scrape::of(&kept, None).expect_up(true, "a restart between two scrapes");
        });
    }
}
