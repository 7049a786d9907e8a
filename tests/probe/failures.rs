//! What is broken on purpose: each failure shows in its phase, with its reason, on its path and query, and nowhere else.

use std::net::TcpStream;

use serde_json::Value;
use socket2::{Domain, SockAddr, Socket, Type};

use super::{
    proxy::{Mode, Proxy},
    *,
};
use crate::support::place::free_port;

/// A port at which connecting is never answered: its queue is full.
fn deaf_port() -> (u16, Socket, Vec<TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SockAddr::from(std::net::SocketAddr::from(([127, 0, 0, 1], 0)))).expect("a port");
    socket.listen(0).expect("listening");
    let port = socket.local_addr().ok().and_then(|address| address.as_socket()).expect("an address").port();
    let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
    let fill = (0..4).map_while(|_| TcpStream::connect_timeout(&address, Duration::from_millis(300)).ok()).collect();
    (port, socket, fill)
}

#[test]
fn each_failure_shows_where_it_should_and_nowhere_else() {
    let server = Postgres::builder(newest()).start();
    create_role(&server);
    server.create_role("crowded", "CONNECTION LIMIT 0");
    server.sql(
        "postgres",
        "CREATE SEQUENCE public.counter; GRANT ALL ON public.counter TO pgvigil_probe; CREATE TABLE public.busy ()",
    );
    server.sql("postgres", "GRANT SELECT ON public.busy TO pgvigil_probe");
    let mut locked = server.session("postgres");
    locked.run("BEGIN; LOCK TABLE public.busy;");
    let (silent, cut) = (Proxy::start(server.port(), Mode::Swallow), Proxy::start(server.port(), Mode::Cut));
    let (deaf, _socket, _full) = deaf_port();
    let refusing = free_port();
    let (silent, cut) = (silent.port(), cut.port());
    let paths = [
        ("unnamed", "direct: {host: nowhere.invalid}".into(), "resolve", "resolve"),
        ("refusing", format!("direct: {{port: {refusing}}}"), "connect", "refused"),
        ("deaf", format!("direct: {{port: {deaf}}}"), "connect", "timeout"),
        ("silent", format!("direct: {{port: {silent}}}"), "tls", "timeout"),
        ("silent-clear", format!("direct: {{port: {silent}, sslmode: disable}}"), "authentication", "timeout"),
        ("silent-pool", format!("pooled: {{port: {silent}}}"), "acquire", "acquire_timeout"),
        ("refusing-pool", format!("pooled: {{port: {refusing}}}"), "connect", "refused"),
        ("cut", format!("direct: {{port: {cut}, sslmode: disable}}"), "authentication", "lost"),
        ("cut-tls", format!("direct: {{port: {cut}}}"), "tls", "lost"),
        ("clear", "direct: {sslmode: require}".into(), "tls", "tls"),
        ("stranger", "direct: {password: wrong}".into(), "authentication", "authentication"),
        ("nobody", "direct: {user: nobody}".into(), "authentication", "authentication"),
        ("crowded", "direct: {user: crowded}".into(), "authentication", "too_many_connections"),
        ("nowhere", "direct: {dbname: nowhere}".into(), "authentication", "error"),
    ];
    let queries = [
        ("sleeps", "SELECT pg_sleep(20)", "statement_timeout"),
        ("waits", "SELECT * FROM public.busy", "lock_timeout"),
        ("writes", "SELECT nextval('public.counter')", "read_only"),
        ("inserts", "WITH x AS (INSERT INTO pgvigil_probe.token VALUES (true, 1) RETURNING 1) TABLE x", "undefined"),
        ("divides", "SELECT 1 / 0", "error"),
        ("gone", "SELECT * FROM public.gone", "undefined"),
        ("large", "SELECT repeat('x', 3000000)", "too_large"),
    ];
    let mut more =
        "      paths:\n        - {name: well, direct: {}}\n        - {name: well-pool, pooled: {}}\n".to_owned();
    paths.iter().for_each(|(name, path, ..)| more += &format!("        - {{name: {name}, {path}}}\n"));
    more += "      queries:\n";
    for (name, sql, _) in queries {
        more += &format!("        - {{name: {name}, sql: \"{sql}\", objective: 1s, paths: [well, well-pool]}}\n");
    }
    // Longer than all that a path's queries wait for, so nothing is missed.
    let settings = settings(&server.url("pgvigil_probe", "postgres"), &more);
    let ran = probe(&settings, &["--rounds", "1", "--interval", "20s", "--json"]);
    assert_eq!(ran.status.code(), Some(1), "{}", text(&ran.stderr));
    let told: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|_| panic!("{}", text(&ran.stderr)));
    let found = |path: &str, query: &str| {
        let results = told["results"].as_array().expect("results");
        let line = results.iter().find(|line| line["path"] == path && line["query"] == query);
        let mut failures = line.unwrap_or_else(|| panic!("no {path}/{query} in {told:#}"))["failures"].clone();
        for failure in failures.as_array_mut().expect("failures") {
            // In whose words it is told is the server's affair; that it is told is ours.
            let message = failure.as_object_mut().and_then(|failure| failure.remove("message"));
            assert!(
                message.as_ref().and_then(Value::as_str).is_some_and(|said| said.len() > 10),
                "{path}: {message:?}"
            );
        }
        failures
    };
    let failure = |phase: &str, reason: &str| serde_json::json!([{ "phase": phase, "reason": reason, "times": 1 }]);
    for (path, _, phase, reason) in &paths {
        assert_eq!(found(path, "round_trip"), failure(phase, reason), "{path}");
    }
    for path in ["well", "well-pool"] {
        assert_eq!(found(path, "round_trip"), serde_json::json!([]), "{path}");
        for (query, _, reason) in queries {
            assert_eq!(found(path, query), failure("query", reason), "{path}/{query}");
        }
    }
}
