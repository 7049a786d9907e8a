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
    pub begin: Begin,
    /// After what `begin` holds was dropped.
    pub mend: fn(&mut Stack),
}

/// How to break it.
pub enum Begin {
    Does(fn(&mut Stack)),
    Holds(fn(&mut Stack) -> Box<dyn Any>),
}

impl Fault {
    pub fn begin(&self, stack: &mut Stack) -> Option<Box<dyn Any>> {
        match self.begin {
            Begin::Does(begin) => {
                begin(stack);
                None
            }
            Begin::Holds(begin) => Some(begin(stack)),
        }
    }
}

const OF_PRIMARY: &[&str] = &["primary", "pooled"];

pub const FAULTS: [Fault; 19] = [
    does("sessions killed", OF_PRIMARY, |stack| sql(stack, KILL)),
    Fault {
        mend: |stack| {
            stack.primary.start();
            through_pooler(stack);
        },
        resets: OF_PRIMARY,
        ..does("primary crashed", OF_PRIMARY, |stack| stack.primary.stop(Stop::Immediate))
    },
    Fault {
        mend: |stack| {
            stack.primary.resume();
            through_pooler(stack);
        },
        ..does("primary hung", OF_PRIMARY, |stack| stack.primary.pause())
    },
    Fault {
        mend: |stack| stack.replica.start(),
        resets: &["replica"],
        ..does("replica crashed", &["replica"], |stack| stack.replica.stop(Stop::Immediate))
    },
    Fault { mend: |stack| stack.replica.resume(), ..does("replica hung", &["replica"], |stack| stack.replica.pause()) },
    Fault {
        mend: |stack| {
            stack.pooler.restart();
            through_pooler(stack);
        },
        resets: &["pooler"],
        ..does("pooler stopped", &["pooler", "pooled"], |stack| stack.pooler.stop())
    },
    Fault {
        mend: |stack| {
            stack.pooler.resume();
            through_pooler(stack);
        },
        ..does("pooler hung", &["pooler", "pooled"], |stack| stack.pooler.pause())
    },
    Fault {
        mend: |stack| stack.redis.start_again(),
        resets: &["cache"],
        ..does("Redis killed", &["cache"], |stack| stack.redis.kill())
    },
    Fault {
        mend: |stack| stack.redis.signal("CONT"),
        ..does("Redis hung", &["cache"], |stack| stack.redis.signal("STOP"))
    },
    holds("a table locked", &[], |stack| locked(&stack.primary, "t1")),
    holds("the view of statements locked", &[], |stack| locked(&stack.primary, "pg_stat_statements")),
    holds("the catalogue of tables locked", OF_PRIMARY, |stack| locked(&stack.primary, "pg_catalog.pg_class")),
    holds("the catalogue of databases locked", OF_PRIMARY, |stack| locked(&stack.primary, "pg_catalog.pg_database")),
    holds("the catalogue of roles locked", OF_PRIMARY, |stack| locked(&stack.primary, "pg_catalog.pg_authid")),
    Fault {
        mend: |stack| {
            sql(stack, &format!("ALTER ROLE pgvigil PASSWORD '{}'", PASSWORD.replace('\'', "''")));
            through_pooler(stack);
        },
        ..does("password changed", &["primary", "pooled", "replica"], |stack| {
            sql(stack, &format!("ALTER ROLE pgvigil PASSWORD 'other'; {KILL}"))
        })
    },
    Fault {
        resets: OF_PRIMARY,
        ..does("statistics reset", &[], |stack| sql(stack, "SELECT pg_stat_reset(); SELECT pg_stat_statements_reset()"))
    },
    does("databases made and dropped", &[], |stack| {
        sql(
            stack,
            "CREATE DATABASE passing; DROP DATABASE beside_0 WITH (FORCE); DROP DATABASE passing; CREATE DATABASE beside_0",
        )
    }),
    does("told to reload ten times", &[], |stack| (0..10).for_each(|_| stack.pgvigil.signal("HUP"))),
    holds("300 strangers with half a request", &[], |stack| Box::new(strangers(stack))),
];

/// Until the pooler lets anybody in: it waits before it tries a server again that was not there.
fn through_pooler(stack: &mut Stack) {
    eventually(Duration::from_secs(30), "the pooler works", || {
        psql::run(&mut stack.pooler.psql("pgvigil", SHOP), "SELECT 1").is_ok()
    });
}

const KILL: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = 'pgvigil'";

/// One that is done, and mends itself.
const fn does(name: &'static str, down: &'static [&'static str], begin: fn(&mut Stack)) -> Fault {
    Fault { name, down, resets: &[], begin: Begin::Does(begin), mend: |_| () }
}

/// One that lasts as long as what it returns is held.
const fn holds(name: &'static str, down: &'static [&'static str], begin: fn(&mut Stack) -> Box<dyn Any>) -> Fault {
    Fault { name, down, resets: &[], begin: Begin::Holds(begin), mend: |_| () }
}

fn sql(stack: &Stack, text: &str) {
    stack.primary.sql(SHOP, text);
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
