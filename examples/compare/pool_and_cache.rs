//! What a PgBouncer and a Redis cost pgvigil, and pgvigil them: their own collectors, over connections that are kept, one scrape after the
//! other.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    thread::sleep,
};

use pgvigil::collector::{SourceKind, catalogue::Catalogue};

use crate::{
    clock::cpu_ms,
    exporters::DATABASE,
    figures::{FRESH, median},
    support::{PgBouncer, Pgvigil, Postgres, Redis, http, page, psql},
};

/// Scrapes before those that count: what is slow is asked, memory is had.
const WARM: usize = 30;

/// Of the medians of this many rounds the least is taken, so that what else runs on the machine counts less.
const ROUNDS: usize = 5;
const SCRAPES: usize = 100;

/// CPU of one scrape, in milliseconds.
pub struct PoolAndCache {
    pub samples: usize,
    pub exporter_ms: f64,
    pub pool_ms: f64,
    pub cache_ms: f64,
}

impl PoolAndCache {
    /// Starts both, with a pool and a few commands in them, and pgvigil on them.
    pub fn measure(program: &Path, server: &Postgres) -> PoolAndCache {
        println!("measuring a PgBouncer and a Redis ...");
        let (pool, cache) = (PgBouncer::start(server, "transaction", ""), Redis::start(""));
        psql::run(&mut pool.psql("postgres", DATABASE), "SELECT 1").expect("a query through the pooler");
        cache.run("SET a 1\nGET a\nINCR n\nCONFIG GET x");
        let pool_url = pool.url("pgvigil", "pgbouncer") + "?sslmode=disable";
        let env = [("PGVIGIL_PGBOUNCER_URL", pool_url.as_str()), ("PGVIGIL_REDIS_URL", &cache.url())];
        let pgvigil = Pgvigil::start(program, &[], &env);
        let mut connection = BufReader::new(http::connect(pgvigil.address()).expect("pgvigil listens"));
        let path = path();
        let samples = (0..WARM).map(|_| page::count(&scrape(&mut connection, &path))).last().unwrap_or_default();
        let pids = [pgvigil.pid(), pool.pid(), cache.pid()];
        let rounds: Vec<[f64; 3]> = (0..ROUNDS).map(|_| round(&mut connection, &path, pids)).collect();
        let least = |of: usize| rounds.iter().map(|round| round[of]).fold(f64::INFINITY, f64::min);
        PoolAndCache { samples, exporter_ms: least(0), pool_ms: least(1), cache_ms: least(2) }
    }
}

/// The page with what their collectors say, and nothing of pgvigil itself.
fn path() -> String {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let theirs = |kind: SourceKind| matches!(kind, SourceKind::PgBouncer | SourceKind::Redis);
    let collectors = catalogue.collectors.iter().filter(|collector| collector.enabled && theirs(collector.source));
    "/metrics?".to_owned() + &collectors.map(|collector| format!("collector={}&", collector.name)).collect::<String>()
}

/// The medians of so many scrapes, process by process.
fn round(connection: &mut BufReader<TcpStream>, path: &str, pids: [u32; 3]) -> [f64; 3] {
    let mut spent = [const { Vec::new() }; 3];
    for _ in 0..SCRAPES {
        sleep(FRESH);
        let before = pids.map(cpu_ms);
        scrape(connection, path);
        pids.iter().zip(before).zip(&mut spent).for_each(|((pid, before), all)| all.push(cpu_ms(*pid) - before));
    }
    spent.map(median)
}

/// One page, over a connection that is kept.
fn scrape(connection: &mut BufReader<TcpStream>, path: &str) -> String {
    connection.get_mut().write_all(format!("GET {path} HTTP/1.1\r\nHost: pgvigil\r\n\r\n").as_bytes()).expect("sent");
    let head: Vec<String> =
        connection.by_ref().lines().map(|line| line.expect("a head")).take_while(|l| !l.is_empty()).collect();
    assert!(head.first().is_some_and(|status| status.starts_with("HTTP/1.1 200")), "{head:?}");
    let length = head.iter().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok()).expect("a length");
    let mut body = vec![0; length];
    connection.read_exact(&mut body).expect("a page");
    String::from_utf8(body).expect("text")
}
