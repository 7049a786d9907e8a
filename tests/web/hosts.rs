//! `allowed_hosts`: a page in somebody's browser asks under a name of its own, and gets nothing.

use crate::support::{Folder, Pgvigil, http};

use super::closed;

/// The answer to a request that calls the server so.
fn asked(pgvigil: &Pgvigil, path: &str, host: &str) -> http::Response {
    let stream = http::connect(pgvigil.address()).expect("a connection");
    http::exchange(stream, host, "GET", path, &[]).expect("an answer")
}

#[test]
fn only_names_of_the_list_are_answered() {
    let folder = Folder::new("hosts", "TERM");
    let listed = closed(&folder, "allowed_hosts: [pgvigil, Pgvigil.Monitoring.svc]\n");
    for path in ["/metrics", "/", "/health", "/healthz", "/nothing"] {
        for host in
            ["evil.example", "evil.example:9878", "pgvigil.evil.example", "127.0.0.1.evil.example", "pgvigil:x", ""]
        {
            let answer = asked(&listed, path, host);
            assert_eq!(answer.status, 421, "{path} {host:?}");
            assert!(answer.text().contains("`allowed_hosts`") && !answer.text().contains("pg_"), "{}", answer.text());
        }
        for host in [
            "pgvigil",
            "PGVIGIL:9878",
            "pgvigil.monitoring.svc",
            "pgvigil.monitoring.svc.:9878",
            "localhost:1",
            "10.0.0.1:9878",
            "[::1]:9878",
        ] {
            assert_ne!(asked(&listed, path, host).status, 421, "{path} {host:?}");
        }
    }
    let folder = Folder::new("any-host", "TERM");
    let open = closed(&folder, "rate_limit: {interval: 0s}\n");
    assert_eq!(asked(&open, "/healthz", "evil.example").status, 200);
}
