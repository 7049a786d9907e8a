//! What to look at in the demo, in which order; and how it goes.

use std::{fmt::Write, net::SocketAddr, time::Instant};

use crate::{
    readers::Readers,
    support::{Postgres, http, page},
};

/// The servers, by their names.
type Servers<'a> = [(&'a str, &'a Postgres); 2];

/// The tour: first what pgvigil shows by itself, then what others make of it.
pub fn text(pgvigil: SocketAddr, readers: &Readers, servers: Servers<'_>) -> String {
    let mut steps = vec![
        (format!("http://{pgvigil}/"), "every target, and whether it answers"),
        (format!("http://{pgvigil}/metrics?target=primary"), "what Prometheus reads about one server"),
        (format!("http://{pgvigil}/probe?path=direct&debug=true"), "what one client waits for, phase by phase"),
    ];
    steps.extend(readers.steps());
    let mut text = "A tour, in this order:\n".to_owned();
    for (index, (place, what)) in steps.into_iter().enumerate() {
        _ = writeln!(text, "{:3}. {place}\n     {what}", index + 1);
    }
    for (name, server) in servers {
        let socket = server.socket_dir().display();
        _ = writeln!(text, "     psql -h {socket} -p {} -U postgres demo   # the {name}", server.port());
    }
    text + "Ctrl-C ends it all, and removes what the demo made.\n"
}

/// How it goes, in one short line.
pub fn status(pgvigil: SocketAddr, readers: &Readers, servers: Servers<'_>) -> String {
    let mut text = scrape(pgvigil);
    if let Some([pending, firing]) = readers.alerts() {
        _ = write!(text, "; alerts: {pending} pending, {firing} firing");
    }
    text += "; commits:";
    for (index, (name, server)) in servers.into_iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        _ = write!(text, "{comma} {name} {}", commits(server));
    }
    text
}

fn scrape(pgvigil: SocketAddr) -> String {
    let start = Instant::now();
    match http::get(pgvigil, "/metrics", &[]) {
        Ok(answer) if answer.status == 200 => {
            format!("{} samples in {} ms", page::count(&answer.text()), start.elapsed().as_millis())
        }
        Ok(answer) => format!("a scrape: status {}", answer.status),
        Err(error) => format!("a scrape: {error}"),
    }
}

fn commits(server: &Postgres) -> String {
    const COMMITS: &str = "SELECT xact_commit FROM pg_stat_database WHERE datname = 'demo'";
    server.try_sql("postgres", COMMITS).unwrap_or_else(|error| error)
}
