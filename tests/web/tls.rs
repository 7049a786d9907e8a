//! TLS towards those who ask: which certificates and versions open, and which do not; a real Prometheus gets through.

use std::{collections::BTreeSet, time::Duration};

use crate::support::{Folder, Pgvigil, Postgres, Prometheus, eventually, https::Https};

use super::{BINARY, TLS, closed, users};

/// Beside the certificates for PostgreSQL: a client of an authority that nobody believes.
fn certificates() -> Folder {
    let folder = crate::tls::certificates();
    let arguments = "x509 -req -in client.csr -CA other.crt -CAkey other.key -CAcreateserial -days 2 -extfile client.ext -out stranger.crt";
    let made = folder.command("openssl").args(arguments.split(' ')).output().expect("running openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    folder.write("stranger.key", &std::fs::read_to_string(folder.path().join("client.key")).expect("a key"));
    folder
}

/// Which clients are answered: with no certificate, one of our authority, one of another.
fn answered(folder: &Folder, pgvigil: &Pgvigil) -> BTreeSet<&'static str> {
    let clients = [("none", None), ("ours", Some("client")), ("other", Some("stranger"))];
    let is_answered = |(_, client): &(&str, Option<&str>)| {
        let answer = Https::new(folder.path(), *client).get(pgvigil.address(), "/healthz");
        answer.is_ok_and(|answer| answer.status == 200)
    };
    clients.into_iter().filter(is_answered).map(|(name, _)| name).collect()
}

#[test]
fn certificates_of_clients_are_looked_at_as_far_as_is_asked() {
    let folder = certificates();
    let ca = "  client_ca_file: ca.crt\n";
    for (keys, who) in [
        ("", &["none", "ours", "other"][..]),
        ("  client_auth_type: NoClientCert\n", &["none", "ours", "other"]),
        ("  client_auth_type: RequestClientCert\n", &["none", "ours", "other"]),
        ("  client_auth_type: RequireClientCert\n", &["ours", "other"]),
        ("  client_auth_type: RequireAnyClientCert\n", &["ours", "other"]),
        ("  client_auth_type: VerifyClientCertIfGiven\n", &["none", "ours"]),
        ("  client_auth_type: RequireAndVerifyClientCert\n", &["ours"]),
        ("  client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [x, pgvigil]\n", &["ours"]),
        ("  client_auth_type: RequireAndVerifyClientCert\n  client_allowed_sans: [pgvigil.org, pg]\n", &[]),
        ("  client_auth_type: RequireAndVerifyClientCert\n  max_version: TLS12\n", &["ours"]),
    ] {
        let ca = if keys.contains("Verify") { ca } else { "" };
        let pgvigil = closed(&folder, &format!("{TLS}{ca}{keys}"));
        assert_eq!(answered(&folder, &pgvigil), who.iter().copied().collect(), "{keys}");
    }
}

#[test]
fn versions_suites_and_curves_are_what_is_asked() {
    let folder = certificates();
    for (keys, new, old) in [
        ("", true, true),
        ("  min_version: TLS13\n", true, false),
        ("  max_version: TLS12\n", true, true),
        ("  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256]\n  max_version: TLS12\n", true, true),
        // The certificate's key is no RSA key.
        ("  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256]\n", true, false),
        ("  curve_preferences: [CurveP384]\n  prefer_server_cipher_suites: false\n", true, true),
    ] {
        let pgvigil = closed(&folder, &format!("{TLS}{keys}"));
        let [new_opens, old_opens] = [Https::new(folder.path(), None), Https::old(folder.path())]
            .map(|client| client.get(pgvigil.address(), "/healthz").is_ok());
        assert_eq!((new_opens, old_opens), (new, old), "{keys}");
        assert!(pgvigil.try_get("/healthz", &[]).is_err(), "no answer in clear");
    }
}

#[test]
fn pem_may_stand_in_the_file_itself() {
    let folder = certificates();
    let indented = |name: &str| {
        let text = std::fs::read_to_string(folder.path().join(name)).expect("a file");
        text.lines().map(|line| format!("    {line}\n")).collect::<String>()
    };
    let [cert, key, ca] = ["server.crt", "server.key", "ca.crt"].map(indented);
    let web = format!(
        "tls_server_config:\n  cert: |\n{cert}  key: |\n{key}  client_ca: |\n{ca}  client_auth_type: RequireAndVerifyClientCert\n"
    );
    let pgvigil = closed(&folder, &web);
    assert_eq!(answered(&folder, &pgvigil), BTreeSet::from(["ours"]));
}

#[test]
fn prometheus_scrapes_with_a_certificate_and_a_password() {
    let folder = certificates();
    let server = Postgres::builder(15).start();
    server.create_monitor_role();
    let web = format!(
        "{TLS}  client_ca_file: ca.crt\n  client_auth_type: RequireAndVerifyClientCert\nhttp_server_config: {{http2: true}}\n{}",
        users(&[("prometheus", "s3cret")])
    );
    let file = folder.write("web.yaml", &web).display().to_string();
    let url = server.url("pgvigil", "postgres");
    let pgvigil = Pgvigil::start_closed(BINARY, &["--web.config.file", &file], &[("PGVIGIL_POSTGRES_URL", &url)]);
    let path = |name: &str| folder.path().join(name).display().to_string();
    let job = |name: &str, password: &str| {
        format!(
            "  - job_name: {name}\n    scheme: https\n    static_configs: [{{targets: ['{}']}}]\n    basic_auth: {{username: \
             prometheus, password: {password}}}\n    tls_config: {{ca_file: {}, cert_file: {}, key_file: {}, server_name: \
             localhost}}\n",
            pgvigil.address(),
            path("ca.crt"),
            path("client.crt"),
            path("client.key")
        )
    };
    let prometheus = Prometheus::start(&(job("right", "s3cret") + &job("wrong", "secret")));
    let value = |promql: &str| prometheus.value(promql);
    eventually(Duration::from_secs(30), "a page arrives", || value("pg_up{job=\"right\"}") == Some(1.0));
    assert_eq!(value("min_over_time(up{job=\"right\"}[1m])"), Some(1.0));
    eventually(Duration::from_secs(30), "the other is refused", || value("up{job=\"wrong\"}") == Some(0.0));
    assert_eq!(value("max_over_time(up{job=\"wrong\"}[1m])"), Some(0.0));
}
