//! What is done to the stack, and how it is mended.

use std::{any::Any, io::Write, net::TcpStream, time::Duration};

use crate::{
    stack::{SHOP, Stack},
    support::{PASSWORD, Postgres, Stop, eventually, psql},
};

pub struct Fault {
    pub name: &'static str,
    /// The targets that may be down while it lasts.
    pub down: &'static [&'static str],
    /// The targets whose counters may begin anew.
    pub resets: &'static [&'static str],
    /// Breaks it; what this returns is dropped before `mend`.
    pub begin: fn(&mut Stack) -> Box<dyn Any>,
    pub mend: fn(&mut Stack),
}

const OF_PRIMARY: &[&str] = &["primary", "pooled"];

pub const FAULTS: [Fault; 19] = [
    fault("sessions killed", OF_PRIMARY, |stack| sql(stack, KILL)),
    Fault {
        mend: |stack| {
            stack.primary.start();
            through_pooler(stack);
        },
        resets: OF_PRIMARY,
        ..fault("primary crashed", OF_PRIMARY, |stack| done(stack.primary.stop(Stop::Immediate)))
    },
    Fault {
        mend: |stack| {
            stack.primary.resume();
            through_pooler(stack);
        },
        ..fault("primary hung", OF_PRIMARY, |stack| done(stack.primary.pause()))
    },
    Fault {
        mend: |stack| stack.replica.start(),
        resets: &["replica"],
        ..fault("replica crashed", &["replica"], |stack| done(stack.replica.stop(Stop::Immediate)))
    },
    Fault {
        mend: |stack| stack.replica.resume(),
        ..fault("replica hung", &["replica"], |stack| done(stack.replica.pause()))
    },
    Fault {
        mend: |stack| {
            stack.pooler.restart();
            through_pooler(stack);
        },
        resets: &["pooler"],
        ..fault("pooler stopped", &["pooler", "pooled"], |stack| done(stack.pooler.stop()))
    },
    Fault {
        mend: |stack| {
            stack.pooler.resume();
            through_pooler(stack);
        },
        ..fault("pooler hung", &["pooler", "pooled"], |stack| done(stack.pooler.pause()))
    },
    Fault {
        mend: |stack| stack.redis.start_again(),
        resets: &["cache"],
        ..fault("Redis killed", &["cache"], |stack| done(stack.redis.kill()))
    },
    Fault {
        mend: |stack| stack.redis.signal("CONT"),
        ..fault("Redis hung", &["cache"], |stack| done(stack.redis.signal("STOP")))
    },
    fault("a table locked", &[], |stack| locked(&stack.primary, "t1")),
    fault("the view of statements locked", &[], |stack| locked(&stack.primary, "pg_stat_statements")),
    fault("the catalogue of tables locked", OF_PRIMARY, |stack| locked(&stack.primary, "pg_catalog.pg_class")),
    fault("the catalogue of databases locked", OF_PRIMARY, |stack| locked(&stack.primary, "pg_catalog.pg_database")),
    fault("the catalogue of roles locked", OF_PRIMARY, |stack| locked(&stack.primary, "pg_catalog.pg_authid")),
    Fault {
        mend: |stack| {
            _ = stack
                .primary
                .sql("postgres", &format!("ALTER ROLE pgvigil PASSWORD '{}'", PASSWORD.replace('\'', "''")))
        },
        ..fault("password changed", &["primary", "pooled", "replica"], |stack| {
            sql(stack, &format!("ALTER ROLE pgvigil PASSWORD 'other'; {KILL}"))
        })
    },
    Fault {
        resets: OF_PRIMARY,
        ..fault("statistics reset", &[], |stack| {
            sql(stack, "SELECT pg_stat_reset(); SELECT pg_stat_statements_reset()")
        })
    },
    fault("databases made and dropped", &[], |stack| {
        sql(
            stack,
            "CREATE DATABASE passing; DROP DATABASE beside_0 WITH (FORCE); DROP DATABASE passing; CREATE DATABASE beside_0",
        )
    }),
    fault("told to reload ten times", &[], |stack| done((0..10).for_each(|_| stack.pgvigil.signal("HUP")))),
    fault("300 strangers with half a request", &[], |stack| Box::new(strangers(stack))),
];

/// Until the pooler lets anybody in: it waits before it tries a server again that was not there.
fn through_pooler(stack: &mut Stack) {
    eventually(Duration::from_secs(30), "the pooler works", || {
        psql::run(&mut stack.pooler.psql("pgvigil", SHOP), "SELECT 1").is_ok()
    });
}

const KILL: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'pgvigil'";

/// One that mends itself when what `begin` returns is dropped.
const fn fault(name: &'static str, down: &'static [&'static str], begin: fn(&mut Stack) -> Box<dyn Any>) -> Fault {
    Fault { name, down, resets: &[], begin, mend: |_| () }
}

fn done((): ()) -> Box<dyn Any> {
    Box::new(())
}

fn sql(stack: &Stack, text: &str) -> Box<dyn Any> {
    done(_ = stack.primary.sql(SHOP, text))
}

fn locked(server: &Postgres, table: &str) -> Box<dyn Any> {
    let mut session = server.session(SHOP);
    session.run(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE;"));
    Box::new(session)
}

fn strangers(stack: &Stack) -> Vec<TcpStream> {
    let half = |_| {
        let mut stream = TcpStream::connect(stack.pgvigil.address()).expect("a connection");
        _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHost:");
        stream
    };
    (0..300).map(half).collect()
}
