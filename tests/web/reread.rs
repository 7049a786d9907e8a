//! Certificates and users are read again when their files change; what is broken leaves the old ones in force.

use std::{fs, time::Duration};

use crate::support::{Folder, Pgvigil, eventually, https::Https, sample};

use super::{TLS, basic, closed, users};

fn status(pgvigil: &Pgvigil, client: &Https, password: &str) -> Option<u16> {
    let headers = [("Authorization", &*basic("prometheus", password))];
    client.ask(pgvigil.address(), "GET", "/metrics", &headers).ok().map(|answer| answer.status)
}

/// Whether the last reload was good, as the page says.
fn success(pgvigil: &Pgvigil, client: &Https, password: &str) -> Option<f64> {
    let headers = [("Authorization", &*basic("prometheus", password))];
    let page = client.ask(pgvigil.address(), "GET", "/metrics", &headers).ok()?.text();
    sample(&page, "pgvigil_config_reload_success", &[])
}

/// Puts the certificate and the key of this name, or a text that is none, in the place of the server's.
fn replace(folder: &Folder, name: &str) {
    for ending in ["crt", "key"] {
        let text = fs::read_to_string(folder.path().join(format!("{name}.{ending}"))).unwrap_or("broken".to_owned());
        // Whole or not at all, as tools that renew certificates do.
        let new = folder.write("new", &text);
        fs::rename(new, folder.path().join(format!("server.{ending}"))).expect("a file in its place");
    }
}

#[test]
fn certificates_and_users_are_read_again() {
    let (folder, later) = (crate::tls::certificates(), crate::tls::certificates());
    let pgvigil = closed(&folder, &(TLS.to_owned() + &users(&[("prometheus", "first")])));
    let (old, new) = (Https::new(folder.path(), None), Https::new(later.path(), None));
    assert_eq!(status(&pgvigil, &old, "first"), Some(200));
    assert_eq!(status(&pgvigil, &new, "first"), None);

    // Nobody tells it: it looks.
    for ending in ["crt", "key"] {
        let file = format!("server.{ending}");
        let text = fs::read_to_string(later.path().join(&file)).expect("a file");
        folder.write(&format!("renewed.{ending}"), &text);
    }
    replace(&folder, "renewed");
    eventually(Duration::from_secs(20), "the new certificate is used", || status(&pgvigil, &new, "first") == Some(200));
    assert_eq!(status(&pgvigil, &old, "first"), None, "the old one is gone");

    folder.write("web.yaml", &(TLS.to_owned() + &users(&[("prometheus", "second")])));
    pgvigil.signal("HUP");
    eventually(Duration::from_secs(20), "the new password", || status(&pgvigil, &new, "second") == Some(200));
    assert_eq!(status(&pgvigil, &new, "first"), Some(401), "one that was right before is not");

    for broken in ["tls_server_config: [", "basic_auth_users: {prometheus: second}\n"] {
        folder.write("web.yaml", broken);
        pgvigil.signal("HUP");
        eventually(Duration::from_secs(20), broken, || success(&pgvigil, &new, "second") == Some(0.0));
    }
    folder.write("web.yaml", &(TLS.to_owned() + &users(&[("prometheus", "second")])));
    pgvigil.signal("HUP");
    eventually(Duration::from_secs(20), "mended", || success(&pgvigil, &new, "second") == Some(1.0));
    replace(&folder, "nothing");
    eventually(Duration::from_secs(20), "a broken certificate", || success(&pgvigil, &new, "second") == Some(0.0));
    let log = pgvigil.stderr();
    assert!(log.contains("web.yaml:2:14: `cert_file`: "), "the log says where: {log}");
    assert!(!log.contains("$2b$"), "a hash is in the log: {log}");
}
