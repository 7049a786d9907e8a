//! The ways in: who is let in, over what.

use super::{PATIENCE, databases, reason, run, run_with, server};
use crate::{
    support::{PASSWORD, PgBouncer, Session, eventually, free_port, postgres::encode, sample},
    tls::certificates,
};

const SCRAPE: [&str; 5] = ["scrape", "--collector", "exporter", "--log-level", "off"];

fn expect(url: &str, why: Option<&str>) {
    let page = run(url, &SCRAPE);
    assert_eq!(reason(&page, "pgbouncer").as_deref(), why, "{url}\n{page}");
}

#[test]
fn who_may_see_and_who_may_not() {
    let server = server();
    let entries = databases(&server, &["shop: pool_size=2"]);
    let pooler = PgBouncer::start(&server, "session", &format!("max_client_conn = 3\nunix_socket_dir = .\n{entries}"));
    let url = |user: &str| pooler.url(user, "whatever the URL says, it is the console");
    expect(&url("pgvigil"), None);
    expect(&url("postgres"), None);
    expect(&url("app"), Some("refused"));
    expect(&url("nobody"), Some("authentication"));
    expect(&url("pgvigil").replace(&encode(PASSWORD), "wrong"), Some("authentication"));
    expect(&url("pgvigil").replace(&format!(":{}@", encode(PASSWORD)), "@"), Some("authentication"));
    expect(&url("pgvigil").replace(&pooler.port().to_string(), &free_port().to_string()), Some("unreachable"));
    for arguments in [&["check", "--connect"][..], &SCRAPE[..3]] {
        let told = run(&url("app"), &[arguments, &["--log-level", "trace"]].concat());
        assert!(!told.contains(PASSWORD) && !told.contains(&encode(PASSWORD)), "{told}");
    }
    let socket = format!("host={} port={} user=pgvigil", pooler.socket_dir().display(), pooler.port());
    expect(&format!("{socket} password='{}'", PASSWORD.replace('\'', "\\'")), None);
    expect(&format!("{socket} password=wrong"), Some("authentication"));
    let clients: Vec<_> = (0..3).map(|_| Session::open(&mut pooler.psql("app", "shop"))).collect();
    eventually(PATIENCE, "there are as many clients as there may be", || {
        let told = run_with("PGVIGIL_POSTGRES_URL", &pooler.url("app", "shop"), &SCRAPE);
        told.contains("reason=\"connections_exhausted\"")
    });
    // Its console lets pgvigil in all the same.
    let page = run(&url("pgvigil"), &["scrape", "--log-level", "off"]);
    assert!(sample(&page, "pgbouncer_used_clients", &[]) >= Some(3.0), "{page}");
    assert_eq!(sample(&page, "pgbouncer_config_max_client_connections", &[]), Some(3.0));
    drop(clients);
}

#[test]
fn tls_as_the_settings_say() {
    let server = server();
    let files = certificates();
    let path = |name: &str| files.path().join(name).display().to_string();
    let with = |mode: &str| {
        let keys =
            format!("client_tls_key_file = {}\nclient_tls_cert_file = {}", path("server.key"), path("server.crt"));
        let ca = format!("client_tls_ca_file = {}", path("ca.crt"));
        PgBouncer::start(&server, "session", &format!("client_tls_sslmode = {mode}\n{keys}\n{ca}\n"))
    };
    let by_name = |pooler: &PgBouncer| pooler.url("pgvigil", "").replace("@127.0.0.1:", "@localhost:");
    let required = with("require");
    let plain = PgBouncer::start(&server, "session", "");
    let certificate = with("verify-full");
    for (pooler, parameters, why) in [
        (&required, "sslmode=disable".to_owned(), Some("refused")),
        (&required, String::new(), None),
        (&required, "sslmode=require".to_owned(), None),
        (&required, format!("sslmode=verify-full&sslrootcert={}", path("ca.crt")), None),
        (&required, format!("sslmode=verify-full&sslrootcert={}", path("other.crt")), Some("tls")),
        (&plain, "sslmode=require".to_owned(), Some("tls")),
        (&certificate, format!("sslmode=require&sslcert={}&sslkey={}", path("client.crt"), path("client.key")), None),
    ] {
        expect(&format!("{}?{parameters}", by_name(pooler)), why);
    }
}
