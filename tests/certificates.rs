//! Which certificates are taken: those that libpq takes. Each of a table, made by openssl, is shown by a real server to psql and to
//! pgvigil, with every `sslmode`.

use std::{fs, path::Path, time::Duration};

use crate::{
    support::{Folder, Postgres, eventually, psql},
    tls::{seen, seen_each},
};

/// A certificate that a server shows.
struct Shown {
    what: &'static str,
    /// Shell commands in a folder of their own, where `ca` (name, subject, extensions) makes an authority that signs itself, `by` (issuer, name,
    /// subject, extensions) one that another has signed. What is shown is `server.crt`, of `server.key`.
    made: &'static str,
    /// What is believed, and the host that is asked for.
    root: &'static str,
    host: &'static str,
    /// With which modes pgvigil refuses what psql takes, as words of its message; empty: with none.
    refused: &'static str,
}

const fn shown(what: &'static str, made: &'static str) -> Shown {
    Shown { what, made, root: "root.crt", host: "localhost", refused: "" }
}

const PRELUDE: &str = r#"
set -e
exec 2>make.log
key() { openssl ecparam -name "${curve:-prime256v1}" -genkey -noout -out "$1.key"; }
ca() { key "$1"; printf 'basicConstraints=critical,CA:TRUE\n%b' "$3" >"$1.ext"
    openssl req -new -key "$1.key" -subj "$2" -out "$1.csr"
    openssl x509 -req -in "$1.csr" -signkey "$1.key" -days "${days:-9}" -extfile "$1.ext" -out "$1.crt"; }
by() { [ -n "$made" ] || key "$2"; openssl req -new -key "$2.key" -subj "$3" -out "$2.csr"; printf '%b' "$4" >"$2.ext"
    openssl x509 -req -in "$2.csr" -CA "$1.crt" -CAkey "$1.key" -CAcreateserial -days "${days:-9}" ${4:+-extfile "$2.ext"} $sign -out "$2.crt"; }
san=subjectAltName=DNS:localhost
"#;

fn table() -> Vec<Shown> {
    let manual = "openssl req -new -x509 -days 9 -nodes -subj /CN=localhost -newkey rsa:2048 -keyout server.key -out server.crt; cp server.crt root.crt";
    vec![
        shown("the manual's, signed by itself", manual),
        shown("the manual's, version 1 by an authority", "ca root /CN=root; by root server /CN=localhost"),
        shown(
            "the manual's, version 1 by an intermediate that is sent along",
            "ca root /CN=root; by root between /CN=between basicConstraints=critical,CA:TRUE; by between server /CN=localhost; cat between.crt >>server.crt",
        ),
        shown(
            "an intermediate that nobody sends",
            "ca root /CN=root; by root between /CN=between basicConstraints=critical,CA:TRUE; by between server /CN=localhost $san",
        ),
        shown(
            "an intermediate that is known beside the root",
            "ca root /CN=root; by root between /CN=between basicConstraints=critical,CA:TRUE; by between server /CN=localhost; cat between.crt >>root.crt",
        ),
        shown(
            "an intermediate that is known without its root",
            "ca root /CN=root; by root between /CN=between basicConstraints=critical,CA:TRUE; by between server /CN=localhost $san; cp between.crt root.crt",
        ),
        shown(
            "CA:FALSE, its own root",
            "key server; openssl req -new -x509 -days 9 -key server.key -subj /CN=localhost -addext basicConstraints=CA:FALSE -out server.crt; cp server.crt root.crt",
        ),
        shown(
            "version 1, its own root",
            "key server; openssl req -new -key server.key -subj /CN=localhost -out server.csr; openssl x509 -req -in server.csr -signkey server.key -days 9 -out server.crt; cp server.crt root.crt",
        ),
        shown(
            "the root is the certificate itself, which another has signed",
            "ca ca /CN=root; by ca server /CN=localhost $san; cp server.crt root.crt",
        ),
        shown("an alternative name", "ca root /CN=root; by root server /CN=other $san"),
        shown("a common name and no other", "ca root /CN=root; by root server /CN=localhost keyUsage=digitalSignature"),
        shown(
            "a common name beside another host's alternative",
            "ca root /CN=root; by root server /CN=localhost subjectAltName=DNS:other",
        ),
        shown(
            "a common name beside an alternative address",
            "ca root /CN=root; by root server /CN=localhost subjectAltName=IP:127.0.0.1",
        ),
        shown(
            "a common name beside an e-mail",
            "ca root /CN=root; by root server /CN=localhost subjectAltName=email:x@y.z",
        ),
        shown("two common names", "ca root /CN=root; by root server /CN=localhost/CN=other"),
        shown("no name at all", "ca root /CN=root; by root server /O=x keyUsage=digitalSignature"),
        Shown {
            host: "127.0.0.1",
            ..shown("an alternative address", "ca root /CN=root; by root server /CN=x subjectAltName=IP:127.0.0.1")
        },
        Shown {
            host: "127.0.0.1",
            ..shown(
                "another alternative address",
                "ca root /CN=root; by root server /CN=127.0.0.1 subjectAltName=IP:127.0.0.2",
            )
        },
        Shown {
            host: "127.0.0.1",
            ..shown("an address as common name", "ca root /CN=root; by root server /CN=127.0.0.1")
        },
        Shown {
            host: "127.0.0.1",
            ..shown(
                "an address as alternative host",
                "ca root /CN=root; by root server /CN=x subjectAltName=DNS:127.0.0.1",
            )
        },
        shown("expired", "ca root /CN=root; days=-1; by root server /CN=localhost $san"),
        shown("version 1, expired", "ca root /CN=root; days=-1; by root server /CN=localhost"),
        shown(
            "by an authority that has expired",
            "days=-1; ca root /CN=root; days=9; by root server /CN=localhost $san",
        ),
        shown(
            "an authority's, by another",
            "ca root /CN=root; by root server /CN=localhost \"$san\\nbasicConstraints=critical,CA:TRUE\"",
        ),
        shown("for clients", "ca root /CN=root; by root server /CN=localhost \"$san\\nextendedKeyUsage=clientAuth\""),
        shown("for servers", "ca root /CN=root; by root server /CN=localhost \"$san\\nextendedKeyUsage=serverAuth\""),
        shown(
            "its own root, for signing only",
            "ca server /CN=localhost keyUsage=critical,keyCertSign; cp server.crt root.crt",
        ),
        shown(
            "for signing only",
            "ca root /CN=root; by root server /CN=localhost \"$san\\nkeyUsage=critical,keyCertSign\"",
        ),
        shown(
            "by a root that is not an authority",
            "key root; openssl req -new -x509 -days 9 -key root.key -subj /CN=root -addext basicConstraints=critical,CA:FALSE -out root.crt; by root server /CN=localhost $san",
        ),
        shown(
            "version 1, by a root of version 1",
            "key root; openssl req -new -key root.key -subj /CN=root -out root.csr; openssl x509 -req -in root.csr -signkey root.key -days 9 -out root.crt; by root server /CN=localhost",
        ),
        shown(
            "by an intermediate of version 1",
            "ca root /CN=root; by root between /CN=between; by between server /CN=localhost $san; cat between.crt >>server.crt",
        ),
        shown(
            "by an intermediate that is not an authority",
            "ca root /CN=root; by root between /CN=between basicConstraints=CA:FALSE; by between server /CN=localhost; cat between.crt >>server.crt",
        ),
        shown(
            "a longer chain than its root allows",
            "ca root /CN=root basicConstraints=critical,CA:TRUE,pathlen:0; sed -i 1d root.ext; openssl x509 -req -in root.csr -signkey root.key -days 9 -extfile root.ext -out root.crt; by root between /CN=between basicConstraints=critical,CA:TRUE; by between server /CN=localhost $san; cat between.crt >>server.crt",
        ),
        shown(
            "as long a chain as its root allows",
            "ca root /CN=root basicConstraints=critical,CA:TRUE,pathlen:1; sed -i 1d root.ext; openssl x509 -req -in root.csr -signkey root.key -days 9 -extfile root.ext -out root.crt; by root between /CN=between basicConstraints=critical,CA:TRUE; by between server /CN=localhost $san; cat between.crt >>server.crt",
        ),
        shown(
            "by an authority for clients",
            "ca root /CN=root extendedKeyUsage=clientAuth; by root server /CN=localhost $san",
        ),
        shown(
            "with an extension that must be obeyed",
            "ca root /CN=root; by root server /CN=localhost \"$san\\n1.2.3.4=critical,DER:0500\"",
        ),
        shown(
            "within limits on names",
            "ca root /CN=root nameConstraints=critical,permitted\\;DNS:localhost; by root server /CN=localhost $san",
        ),
        shown(
            "beyond limits on names",
            "ca root /CN=root nameConstraints=critical,permitted\\;DNS:example.com; by root server /CN=localhost $san",
        ),
        shown(
            "by another authority of the same name",
            "ca root /CN=root; mv root.crt real.crt; ca root /CN=root; by root server /CN=localhost $san; mv real.crt root.crt",
        ),
        shown(
            "version 1, by another authority of the same name",
            "ca root /CN=root; mv root.crt real.crt; ca root /CN=root; by root server /CN=localhost; mv real.crt root.crt",
        ),
        shown(
            "a key of P-384, signed with SHA-384",
            "curve=secp384r1; ca root /CN=root; sign=-sha384; by root server /CN=localhost $san",
        ),
        shown(
            "a key of Ed25519",
            "openssl genpkey -algorithm ed25519 -out root.key; openssl req -new -x509 -key root.key -days 9 -subj /CN=root -out root.crt; openssl genpkey -algorithm ed25519 -out server.key; made=1; by root server /CN=localhost $san",
        ),
        shown(
            "signed with RSA-PSS",
            "openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=root -keyout root.key -out root.crt; sign='-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:-1 -sha256'; by root server /CN=localhost $san",
        ),
        shown(
            "version 1, RSA with SHA-512",
            "openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=root -keyout root.key -out root.crt; sign=-sha512; by root server /CN=localhost",
        ),
        Shown {
            refused: "nothing that pgvigil speaks",
            ..shown("a key of P-521", "ca root /CN=root; curve=secp521r1; by root server /CN=localhost $san")
        },
    ]
}

/// Makes one in the folder.
fn make(folder: &Folder, commands: &str) {
    let mut shell = folder.command("/bin/sh");
    let output = shell.args(["-c", &format!("{PRELUDE}{commands}")]).output().expect("running sh");
    let log = fs::read_to_string(folder.path().join("make.log")).unwrap_or_default();
    assert!(output.status.success(), "{commands}: {log}");
}

/// Shows what was made from now on.
fn show(server: &Postgres) {
    let reloads = || server.log().matches("reloading configuration files").count();
    let before = reloads();
    server.sql("postgres", "SELECT pg_reload_conf()");
    eventually(Duration::from_secs(20), "the server reloads", || reloads() > before);
    assert!(!server.log().contains("SSL configuration was not reloaded"), "{}", server.log());
}

/// Whether psql gets in, and by TLS.
fn libpq(server: &Postgres, host: &str, parameters: &str) -> bool {
    let database =
        format!("host={host} port={} user=pgvigil dbname=postgres {}", server.port(), parameters.replace('&', " "));
    let mut psql = psql::psql(host, server.port(), "pgvigil", &database);
    psql::run(&mut psql, "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()").is_ok_and(|said| said == "t")
}

#[test]
fn what_libpq_takes_is_taken() {
    let files = Folder::for_server("certificates", "TERM");
    make(&files, "ca root /CN=root; by root server /CN=localhost");
    let path = |name: &str| files.path().join(name).display().to_string();
    let server = Postgres::builder(15)
        .config("ssl = on")
        .config(&format!("ssl_cert_file = '{}'\nssl_key_file = '{}'", path("server.crt"), path("server.key")))
        .start();
    server.create_monitor_role();
    trust(&server.data_dir());
    let mut wrong = Vec::new();
    for Shown { what, made, root, host, refused } in table() {
        make(&files, &format!("rm -f *.crt *.key *.csr; {made}; chmod 600 *.key"));
        show(&server);
        let url = server.url("pgvigil", "postgres").replace("@127.0.0.1:", &format!("@{host}:"));
        let modes = ["prefer", "require", "require ROOT", "verify-ca ROOT", "verify-full ROOT"];
        let parameters =
            modes.map(|mode| format!("sslmode={}", mode.replace(" ROOT", &format!("&sslrootcert={}", path(root)))));
        for (parameters, ours) in parameters.iter().zip(seen_each(&url, &parameters)) {
            let theirs = libpq(&server, host, parameters);
            let expected = theirs && refused.is_empty();
            // With `prefer` there is nothing to say: it is spoken to in clear.
            let is_told = parameters == "sslmode=prefer" || ours.as_ref().err().is_none_or(|why| why.contains(refused));
            if ours.is_ok() != expected || !is_told {
                wrong.push(format!("{what}, {parameters}: libpq {theirs}, pgvigil {ours:?}"));
            }
            if let Err(why) = &ours {
                println!("{what}, {parameters}: {why}");
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Everybody comes in: what is asked is the server's certificate alone.
fn trust(data: &Path) {
    fs::write(data.join("pg_hba.conf"), "host all all all trust\nlocal all all trust\n").expect("pg_hba.conf");
}

/// A server whose TLS has nothing that ours has.
#[test]
fn ciphers_that_we_do_not_have_are_told() {
    let files = Folder::for_server("certificates", "TERM");
    make(
        &files,
        "openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=localhost -keyout server.key -out server.crt; chmod 600 *.key",
    );
    let path = |name: &str| files.path().join(name).display().to_string();
    let server = Postgres::builder(15)
        .config("ssl = on\nssl_max_protocol_version = 'TLSv1.2'\nssl_ciphers = 'AES256-GCM-SHA384'")
        .config(&format!("ssl_cert_file = '{}'\nssl_key_file = '{}'", path("server.crt"), path("server.key")))
        .start();
    server.create_monitor_role();
    let url = server.url("pgvigil", "postgres");
    assert!(libpq(&server, "127.0.0.1", "sslmode=require"), "it is RSA alone that exchanges keys");
    let why = seen(&url, "sslmode=require").expect_err("nothing is spoken by both");
    assert!(why.contains("ECDHE key exchange"), "{why}");
    let why = seen(&url, "sslmode=prefer").expect_err("spoken to in clear");
    assert!(!why.contains("down"), "{why}");
}

#[test]
fn a_client_s_certificate_of_version_1_is_shown() {
    let files = Folder::for_server("certificates", "TERM");
    make(
        &files,
        "ca root /CN=root; by root server /CN=localhost; by root pgvigil /CN=pgvigil; by root other /CN=other; chmod 600 *.key",
    );
    let path = |name: &str| files.path().join(name).display().to_string();
    let server = Postgres::builder(15)
        .config(&format!("ssl = on\nssl_ca_file = '{}'", path("root.crt")))
        .config(&format!("ssl_cert_file = '{}'\nssl_key_file = '{}'", path("server.crt"), path("server.key")))
        .start();
    server.create_monitor_role();
    fs::write(server.data_dir().join("pg_hba.conf"), "hostssl all all all cert\nlocal all all trust\n")
        .expect("pg_hba.conf");
    show(&server);
    let url = server.url("pgvigil", "postgres");
    let with =
        |cert: &str, key: &str| seen(&url, &format!("sslmode=require&sslcert={}&sslkey={}", path(cert), path(key)));
    assert_eq!(with("pgvigil.crt", "pgvigil.key"), Ok("unverified".to_owned()));
    assert!(with("other.crt", "other.key").is_err_and(|why| why.contains("authentication")));
    assert!(with("pgvigil.crt", "other.key").is_err_and(|why| why.contains("pgvigil.crt") && why.contains("key")));
}

/// What our TLS cannot do is told in words.
#[test]
fn what_is_lacking_is_told() {
    use pgvigil::certificate::{Purpose, chain::Authorities, problem::describe};
    use rustls::{
        crypto::ring,
        pki_types::{CertificateDer, UnixTime, pem::PemObject},
    };
    let files = Folder::new("certificates", "TERM");
    let legacy = "export OPENSSL_CONF=/dev/null; ";
    for (made, words) in [
        (
            "openssl req -x509 -newkey rsa:1024 -nodes -days 9 -subj /CN=localhost -keyout server.key -out server.crt; cp server.crt root.crt",
            "RSA key of 1024 bits",
        ),
        ("ca root /CN=root; sign=-sha1; by root server /CN=localhost", "signed with ECDSA with SHA-1"),
        (
            "ca root /CN=root; sign=-sha1; by root between /CN=between basicConstraints=critical,CA:TRUE; sign=; by between server /CN=localhost; cp server.crt x; cat between.crt >>root.crt",
            "CN=between, issued by CN=root, is signed with ECDSA with SHA-1",
        ),
        (
            "ca root /CN=root; openssl dsaparam -genkey -out server.key 2048; made=1; by root server /CN=localhost",
            "a key of DSA",
        ),
        ("ca root /CN=root; curve=secp521r1; by root server /CN=localhost", "a key of the curve P-521"),
        ("ca root /CN=root; days=-1; by root server /CN=localhost", "expired at "),
        ("ca root /CN=root; by root server /CN=localhost; ca root /CN=else", "leads to none of the file"),
        (
            "days=-1; ca root /CN=root; days=9; by root server /CN=localhost",
            "the certificate of CN=root, which is signed by itself, expired at ",
        ),
        ("ca root /CN=root; by root server /CN=localhost extendedKeyUsage=clientAuth", "is not for servers"),
    ] {
        make(&files, &format!("rm -f *.crt *.key *.csr; {legacy}{made}"));
        let read = |name: &str| CertificateDer::from_pem_file(files.path().join(name)).expect("a certificate");
        let list = CertificateDer::pem_file_iter(files.path().join("root.crt"))
            .expect("a file")
            .map(|one| one.expect("a certificate"));
        let roots = Authorities::new(list.collect(), false, "the file".to_owned(), ring::default_provider().into());
        let verdict = roots.verify(&read("server.crt"), &[], UnixTime::now(), Purpose::Server);
        let said = verdict.map_err(|error| describe(&error)).expect_err(made);
        assert!(said.contains(words), "{made}: {said}");
    }
}

/// What is read of a certificate is what openssl reads; and the hash that a login is bound by (RFC 5929, 4.1) is that of its signature.
#[test]
fn what_is_read_is_what_openssl_reads() {
    use pgvigil::certificate::{Hash, hash, names, not_after};
    let files = Folder::new("certificates", "TERM");
    let all = "subjectAltName=DNS:*.example.com,IP:10.0.0.1,IP:fd00::1,email:a@b.c,URI:spiffe://x/y,RID:1.2.3";
    let signed = |with: &str| {
        format!(
            "openssl req -x509 -newkey rsa:2048 -nodes -days 9 -subj /CN=x {with} -keyout server.key -out server.crt"
        )
    };
    for (made, bound_by, named) in [
        (signed("-sha1"), Some(Hash::Sha256), ""),
        (signed("-sha256 -days 36500"), Some(Hash::Sha256), ""),
        (signed("-sha384"), Some(Hash::Sha384), ""),
        (signed("-sha512"), Some(Hash::Sha512), ""),
        (signed("-sha512 -sigopt rsa_padding_mode:pss"), Some(Hash::Sha512), ""),
        (signed("-sha1 -sigopt rsa_padding_mode:pss"), Some(Hash::Sha256), ""),
        (
            format!("ca root /CN=root; sign=-sha384; by root server /CN=localhost '{all}'"),
            Some(Hash::Sha384),
            "*.example.com 10.0.0.1 fd00::1 a@b.c spiffe://x/y",
        ),
        ("ca root /CN=root; days=8300; by root server /CN=localhost".to_owned(), Some(Hash::Sha256), ""),
        ("ca root /CN=root; days=8700; by root server /CN=localhost".to_owned(), Some(Hash::Sha256), ""),
        (
            "openssl req -x509 -newkey ed25519 -nodes -days 9 -subj /CN=x -keyout server.key -out server.crt"
                .to_owned(),
            None,
            "",
        ),
    ] {
        make(&files, &made);
        let mut openssl = files.command("openssl");
        let told = openssl.args(["x509", "-in", "server.crt", "-noout", "-enddate", "-dateopt", "iso_8601"]).output();
        let told = String::from_utf8(told.expect("running openssl").stdout).expect("text");
        let told = told.trim().trim_start_matches("notAfter=").replace(' ', "T");
        let mut openssl = files.command("openssl");
        let der =
            openssl.args(["x509", "-in", "server.crt", "-outform", "der"]).output().expect("running openssl").stdout;
        assert_eq!(not_after(&der), humantime::parse_rfc3339(&told).ok(), "{made}");
        assert_eq!(hash(&der), bound_by, "{made}");
        assert_eq!(names(&der).join(" "), named, "{made}");
    }
}
