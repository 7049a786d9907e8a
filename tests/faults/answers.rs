//! Promises 1, 2 and 3: every scrape is answered 200, in time, and tells at once what is.

use std::{any::Any, time::Duration};

use crate::support::{BUSY, Pgvigil, Postgres, Stop, together};

use super::{ANNOUNCED, Scrape, figure, millis, newest, server, terminate, versions, watch};

/// One way for a server to fail, and to be itself again.
struct Fault {
    name: &'static str,
    /// Breaks it; what this returns is dropped before `mend`.
    begin: fn(&Postgres) -> Box<dyn Any>,
    mend: fn(&Postgres),
    /// Whether the server answers a session that was there before, and a new one.
    up: bool,
    up_anew: bool,
}

fn locked(server: &Postgres, table: &str) -> Box<dyn Any> {
    let mut session = server.session("postgres");
    session.run(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;"));
    Box::new(session)
}

fn altered(server: &Postgres, sql: &str) -> Box<dyn Any> {
    server.sql("postgres", sql);
    terminate(server);
    Box::new(())
}

fn nothing(_: &Postgres) {}

const STOPPED: Fault = Fault {
    name: "stopped",
    begin: |server| {
        server.stop(Stop::Fast);
        Box::new(())
    },
    mend: Postgres::start,
    up: false,
    up_anew: false,
};

const HUNG: Fault = Fault {
    name: "hung",
    begin: |server| {
        server.pause();
        Box::new(())
    },
    mend: Postgres::resume,
    up: false,
    up_anew: false,
};

const LOCKED: [Fault; 5] = [
    Fault {
        name: "a user's table locked",
        begin: |server| {
            server.sql("postgres", "CREATE TABLE IF NOT EXISTS mine (id int PRIMARY KEY)");
            locked(server, "mine")
        },
        mend: nothing,
        up: true,
        up_anew: true,
    },
    Fault {
        name: "the catalogue of tables locked",
        begin: |server| locked(server, "pg_catalog.pg_class"),
        mend: nothing,
        up: true,
        up_anew: false,
    },
    Fault {
        name: "the view pg_stat_statements locked",
        begin: |server| locked(server, "pg_stat_statements"),
        mend: nothing,
        up: true,
        up_anew: true,
    },
    Fault {
        name: "the catalogue of databases locked",
        begin: |server| locked(server, "pg_catalog.pg_database"),
        mend: nothing,
        up: true,
        up_anew: false,
    },
    Fault {
        name: "the catalogue of roles locked",
        begin: |server| locked(server, "pg_catalog.pg_authid"),
        mend: nothing,
        up: true,
        up_anew: false,
    },
];

const REFUSED: [Fault; 4] = [
    Fault {
        name: "our database closed to us",
        begin: |server| altered(server, "REVOKE CONNECT ON DATABASE postgres FROM PUBLIC"),
        mend: |server| _ = server.sql("postgres", "GRANT CONNECT ON DATABASE postgres TO PUBLIC"),
        up: false,
        up_anew: false,
    },
    Fault {
        name: "another database closed to us",
        begin: |server| altered(server, "CREATE DATABASE closed; REVOKE CONNECT ON DATABASE closed FROM PUBLIC"),
        mend: nothing,
        up: true,
        up_anew: true,
    },
    Fault {
        name: "our role may not log in",
        begin: |server| altered(server, "ALTER ROLE pgvigil NOLOGIN"),
        mend: |server| _ = server.sql("postgres", "ALTER ROLE pgvigil LOGIN"),
        up: false,
        up_anew: false,
    },
    Fault {
        name: "our role is gone from those who may see",
        begin: |server| altered(server, "REVOKE pg_monitor FROM pgvigil"),
        mend: nothing,
        up: true,
        up_anew: true,
    },
];

#[test]
fn p01_every_scrape_is_answered_200() {
    for major in versions() {
        let server = server(major);
        let pgvigil = watch(&server, &[]);
        Scrape::of(&pgvigil, None).expect_up(true, "before");
        for fault in LOCKED.iter().chain(&REFUSED).chain([&STOPPED, &HUNG]) {
            let broken = (fault.begin)(&server);
            for _ in 0..3 {
                Scrape::in_time(&pgvigil).expect_up(fault.up, fault.name);
            }
            drop(broken);
            (fault.mend)(&server);
            let after = Scrape::of(&pgvigil, None).expect_up(true, &format!("after: {}", fault.name));
            figure(1, &format!("PostgreSQL {major}, {}, series after", fault.name), after.of_server().len());
        }
    }
}

#[test]
fn p02_every_answer_comes_before_the_announced_timeout() {
    let faults: Vec<_> = [STOPPED, HUNG].into_iter().chain(LOCKED).collect();
    // Two servers, each with a half of them: what fails is waited for.
    together(faults.chunks(4), expect_in_time);
}

fn expect_in_time(faults: &[Fault]) {
    let server = server(newest());
    let kept = watch(&server, &[]);
    for fault in faults {
        Scrape::of(&kept, None).expect_up(true, &format!("before: {}", fault.name));
        let broken = (fault.begin)(&server);
        let fresh = watch(&server, &[]);
        for (pgvigil, up) in [(&kept, fault.up), (&fresh, fault.up_anew)] {
            for _ in 0..2 {
                let scrape = Scrape::in_time(pgvigil).expect_up(up, fault.name);
                figure(2, fault.name, format!("{:?}", scrape.took));
            }
        }
        if fault.name == HUNG.name {
            expect_default_timeout(&fresh);
        }
        drop(broken);
        (fault.mend)(&server);
        Scrape::of(&fresh, None).expect_up(true, &format!("after: {}", fault.name));
    }
}

/// Without a header the answer comes within 10 s.
fn expect_default_timeout(pgvigil: &Pgvigil) {
    let scrape = Scrape::of(pgvigil, None).expect_up(false, "hung");
    assert!(scrape.took < Duration::from_secs(10) + BUSY, "{:?}", scrape.took);
    figure(2, "hung, no header", format!("{:?}", scrape.took));
}

#[test]
fn p03_down_is_said_at_once_and_so_is_recovery() {
    for major in versions() {
        let server = server(major);
        let pgvigil = watch(&server, &[]);
        // Six failures open the circuit breaker.
        for (fault, scrapes) in [(&STOPPED, 1), (&STOPPED, 6), (&HUNG, 1), (&HUNG, 6)] {
            Scrape::of(&pgvigil, None).expect_up(true, "before");
            let broken = (fault.begin)(&server);
            // Who is refused does not use up the time that is announced.
            let announced = if fault.name == STOPPED.name { 10 * BUSY } else { ANNOUNCED };
            let scrape = |_| Scrape::of(&pgvigil, Some(announced)).expect_up(false, fault.name).took;
            let took = (0..scrapes).map(scrape).max();
            assert!(took < Some(ANNOUNCED + BUSY), "the answer took {took:?}");
            drop(broken);
            (fault.mend)(&server);
            let after = Scrape::first_after(&server, &pgvigil, &format!("after: {}", fault.name));
            let figures = format!("at most {took:?} while so, {:?} at the first scrape after", after.took);
            figure(3, &format!("PostgreSQL {major}, {}, {scrapes} scrapes", fault.name), figures);
        }
    }
}

#[test]
fn p03_an_open_circuit_breaker_answers_at_once_and_closes_at_once() {
    let server = server(newest());
    let pgvigil = watch(&server, &[]);
    server.pause();
    let is_open = |scrape: &Scrape| scrape.value("pgvigil_circuit_state", &[]).is_some_and(|state| state > 0.0);
    let mut scrapes = 0;
    while !is_open(&Scrape::in_time(&pgvigil)) {
        scrapes += 1;
        assert!(scrapes < 60, "the breaker does not open");
    }
    let open = Scrape::in_time(&pgvigil);
    figure(3, "hung, breaker open after scrapes", scrapes);
    figure(3, "hung, breaker open, an answer takes", format!("{:?}", open.took));
    server.resume();
    millis(10);
    let after = Scrape::first_after(&server, &pgvigil, "the server goes on");
    assert_eq!(after.value("pgvigil_circuit_state", &[]), Some(0.0));
    assert!(!after.of_server().is_empty());
}
