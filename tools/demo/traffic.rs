//! The demo's traffic: a small shop's database, and pgbench as its customers.

use std::path::PathBuf;

use crate::support::{Folder, GRANTS, PASSWORD, PgBouncer, Postgres, place::client_program, process::Process};

/// Roles, a database and its content.
pub fn fill(primary: &Postgres) {
    primary.create_monitor_role();
    primary.create_role("app", "");
    primary.sql("postgres", "CREATE DATABASE demo OWNER app;\nALTER DATABASE demo SET work_mem = '1MB'");
    primary.sql("demo", include_str!("schema.sql"));
    // What is measured in every database, and would be missed in this one.
    primary.sql("postgres", "CREATE EXTENSION pgstattuple");
    // Also in this database: the functions that estimates of bloat and the values of sequences need.
    primary.sql("demo", GRANTS);
}

/// In front of the primary, with a pool that is too small for the traffic through it.
pub fn pooler(primary: &Postgres) -> PgBouncer {
    let sizes = "pool_size=3 reserve_pool=1 max_db_connections=10";
    let demo = format!("[databases]\ndemo = host=127.0.0.1 port={} {sizes}", primary.port());
    PgBouncer::start(primary, "transaction", &demo)
}

/// The workload: about 40 transactions a second on the primary, 20 on the replica, and as many as the pool can take,
/// about 55, through the pooler.
pub struct Traffic {
    folder: Folder,
    running: Vec<Process>,
}

impl Traffic {
    pub fn start(primary: &Postgres, replica: &Postgres, pooler: &PgBouncer) -> Traffic {
        let mut traffic = Traffic { folder: Folder::new("traffic", "TERM"), running: Vec::new() };
        traffic.folder.write("order.sql", include_str!("order.sql"));
        traffic.folder.write("browse.sql", include_str!("browse.sql"));
        traffic.folder.write("report.sql", include_str!("report.sql"));
        traffic.folder.write("recount.sql", include_str!("recount.sql"));
        traffic.folder.write("checkout.sql", include_str!("checkout.sql"));
        let socket = |server: &Postgres| (server.socket_dir().to_owned(), server.port());
        traffic.run(socket(primary), "40", &["order.sql@120", "browse.sql@240", "report.sql@4", "recount.sql@3"]);
        traffic.run(socket(replica), "20", &["browse.sql@99", "report.sql@1"]);
        traffic.run(("127.0.0.1".into(), pooler.port()), "200", &["checkout.sql"]);
        traffic
    }

    /// Runs pgbench at `rate` transactions a second, for as long as pgbench can.
    fn run(&mut self, (host, port): (PathBuf, u16), rate: &str, scripts: &[&str]) {
        let mut pgbench = self.folder.logged_command(client_program("pgbench"));
        pgbench.args(["-n", "-c", "6", "-T", "2000000000", "-R", rate, "-U", "app", "-h"]).arg(host);
        pgbench.args(["-p", &port.to_string()]).env("PGPASSWORD", PASSWORD);
        for script in scripts {
            pgbench.args(["-f", script]);
        }
        self.running.push(Process::start(pgbench.arg("demo")));
    }
}
