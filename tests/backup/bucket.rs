//! Backups in a bucket of an S3-compatible service that checks signatures.

use std::{
    fs,
    net::TcpStream,
    process::Command,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{BINARY, reason, settings, until, watch};
use crate::{
    support::{Folder, Pgvigil, eventually, free_port, place::moto_program, process::Process, sample},
    tls::certificates,
};

/// Makes a user with two keys, a bucket and objects in it, and prints the keys. The first four requests need no key.
const FILL: &str = r#"
import boto3, json, sys
def client(service, key='none', secret='none'):
    return boto3.client(service, endpoint_url=sys.argv[1], region_name='us-east-1', aws_access_key_id=key, aws_secret_access_key=secret)
iam = client('iam')
iam.create_user(UserName='u')
allow = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': ['s3:*', 'iam:*'], 'Resource': '*'}]}
iam.put_user_policy(UserName='u', PolicyName='p', PolicyDocument=json.dumps(allow))
key, next_key = [iam.create_access_key(UserName='u')['AccessKey'] for _ in range(2)]
s3 = client('s3', key['AccessKeyId'], key['SecretAccessKey'])
s3.create_bucket(Bucket='backups')
for name, size in [('orders/old & odd.dump', 5), ('orders/orders-20261117-020000.dump', 7), ('orders/notes.txt', 9), ('other/x.dump', 1)]:
    s3.put_object(Bucket='backups', Key=name, Body=b'x' * size)
for number in range(1100):
    s3.put_object(Bucket='backups', Key=f'many/{number}.dump', Body=b'x')
for key in key, next_key:
    print(key['AccessKeyId'], key['SecretAccessKey'])
"#;

/// Makes the first key (the last argument) worthless, by the other's right.
const DELETE: &str = "
import boto3, sys
url, key, secret, old = sys.argv[1:]
iam = boto3.client('iam', endpoint_url=url, region_name='us-east-1', aws_access_key_id=key, aws_secret_access_key=secret)
iam.delete_access_key(UserName='u', AccessKeyId=old)
";

/// A service that checks signatures, its certificates if it has any, and its user's keys: each an id and a secret.
struct Moto {
    url: String,
    keys: Vec<(String, String)>,
    folder: Folder,
    _server: Process,
}

impl Moto {
    /// Without TLS, or with the certificate `server.crt` of this folder.
    fn start(tls: Option<&Folder>) -> Moto {
        let (folder, port) = (Folder::new("moto", "TERM"), free_port());
        let mut server = folder.logged_command(moto_program("python"));
        server.arg(fs::canonicalize("tests/backup/s3_server.py").expect("the script")).arg(port.to_string());
        server.env("INITIAL_NO_AUTH_ACTION_COUNT", "4").env("MOTO_PORT", port.to_string());
        if let Some(files) = tls {
            server.args(["server.crt", "server.key"].map(|name| files.path().join(name)));
        }
        let _server = Process::start(&mut server);
        eventually(Duration::from_secs(60), "moto listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        let url = if tls.is_some() { format!("https://localhost:{port}") } else { format!("http://127.0.0.1:{port}") };
        let mut moto = Moto { url, keys: Vec::new(), folder, _server };
        let said = moto.python(tls, FILL, &[]);
        let key = |line: &str| line.split_once(' ').map(|(key, secret)| (key.to_owned(), secret.to_owned()));
        moto.keys = said.lines().filter_map(key).collect();
        assert_eq!(moto.keys.len(), 2, "{said}\n{}", moto.folder.log());
        moto
    }

    /// What a script prints to which the URL and these are given.
    fn python(&self, tls: Option<&Folder>, script: &str, args: &[&str]) -> String {
        let mut python = Command::new(moto_program("python"));
        if let Some(files) = tls {
            python.env("AWS_CA_BUNDLE", files.path().join("ca.crt"));
        }
        let output = python.args(["-c", script, &self.url]).args(args).output().expect("python runs");
        assert!(output.status.success(), "{output:?}\n{}", self.folder.log());
        String::from_utf8_lossy(&output.stdout).into_owned()
    }
}

/// In Unix seconds.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64()
}

#[test]
#[ignore = "needs moto: make test-all"]
fn objects_are_listed_with_a_signature_that_is_checked() {
    let moto = Moto::start(None);
    let (Moto { url, folder, .. }, (key, secret)) = (&moto, &moto.keys[0]);
    let bucket = |name: &str, bucket: &str, secret: &str, more: &str| {
        format!(
            "{{name: {name}, tool: s3, endpoint: \"{url}\", bucket: {bucket}, access_key: {key}, secret_key: \"{secret}\", {more}}}"
        )
    };
    let pgvigil = watch(&settings(&[
        bucket("well", "backups", secret, "prefix: orders/, pattern: \"*.dump\""),
        bucket("named", "backups", secret, "prefix: orders/, name_time: \"-%Y%m%d-%H%M%S.\""),
        bucket("many", "backups", secret, "prefix: many/"),
        bucket("empty", "backups", secret, "prefix: nothing/"),
        bucket("refused", "backups", "wrong", "prefix: orders/"),
        bucket("absent", "nowhere", secret, "prefix: orders/"),
        "{name: down, tool: s3, endpoint: \"http://127.0.0.1:1\", bucket: b}".to_owned(),
        "{name: other, tool: s3, endpoint: \"http://127.0.0.1:1/\", bucket: b}".to_owned(),
    ]));
    let page = until(&pgvigil, "all have answered", |page| {
        ["well", "named", "many", "empty", "refused", "absent"]
            .iter()
            .all(|name| reason(page, name, "information") != Some("pending"))
    });
    let of = |repository: &str, name: &str| sample(&page, name, &[("repository", repository)]);
    for (name, points) in [("well", 2.0), ("named", 1.0), ("many", 1100.0), ("empty", 0.0)] {
        assert_eq!(of(name, "pgvigil_backup_up"), Some(1.0), "{name}\n{}\n{}", pgvigil.stderr(), folder.log());
        assert_eq!(of(name, "pgvigil_backup_restore_points"), Some(points), "{name}");
    }
    assert!(of("well", "pgvigil_backup_last_timestamp_seconds").is_some_and(|time| (now() - time).abs() < 600.0));
    assert!(of("well", "pgvigil_backup_last_size_bytes").is_some_and(|size| size == 5.0 || size == 7.0));
    assert_eq!(of("named", "pgvigil_backup_last_timestamp_seconds"), Some(1_794_880_800.0));
    assert_eq!(of("named", "pgvigil_backup_values_skipped_total").map(|odd| odd >= 2.0), Some(true));
    for (name, expected) in [("refused", "failed"), ("absent", "missing"), ("down", "failed"), ("other", "failed")] {
        assert_eq!(reason(&page, name, "information"), Some(expected), "{name}\n{}", pgvigil.stderr());
        assert_eq!(of(name, "pgvigil_backup_restore_points"), None, "{name}");
    }
    // The service sends the signed query back with each refusal.
    for leaked in [secret, "X-Amz", "Signature="] {
        assert!(!pgvigil.stderr().contains(leaked), "{leaked}: {}", pgvigil.stderr());
    }
    let said = "403 Forbidden SignatureDoesNotMatch";
    assert!(pgvigil.stderr().contains(said), "{}", pgvigil.stderr());
}

/// The orders as a repository, with the setting that gives its secret.
fn orders(name: &str, url: &str, key: &str, secret: &str) -> String {
    format!(
        "{{name: {name}, tool: s3, endpoint: \"{url}\", bucket: backups, prefix: orders/, access_key: {key}, {secret}}}"
    )
}

/// pgvigil watching these repositories, believing this authority alone.
fn believing(files: &Folder, authority: &str, repositories: &[String]) -> Pgvigil {
    let file = files.write(&format!("{authority}.yaml"), &settings(repositories)).display().to_string();
    let authority = files.path().join(format!("{authority}.crt")).display().to_string();
    Pgvigil::start(BINARY, &["--config", &file], &[("SSL_CERT_FILE", &authority)])
}

#[test]
#[ignore = "needs moto: make test-all"]
fn a_service_with_tls_is_believed_by_its_authority_and_name() {
    let files = certificates();
    let moto = Moto::start(Some(&files));
    let (key, secret) = &moto.keys[0];
    let of_text = format!("secret_key: \"{secret}\"");
    let by_address = moto.url.replace("localhost", "127.0.0.1");
    let repositories = [orders("well", &moto.url, key, &of_text), orders("misnamed", &by_address, key, &of_text)];
    for (authority, well, said) in [
        ("ca", None, "TLS: the certificate is for localhost, not for 127.0.0.1"),
        ("other", Some("failed"), "leads to none of the system's authorities"),
    ] {
        let pgvigil = believing(&files, authority, &repositories);
        let page = until(&pgvigil, "all have answered", |page| {
            ["well", "misnamed"].iter().all(|name| reason(page, name, "information") != Some("pending"))
        });
        assert_eq!(reason(&page, "well", "information"), well, "{authority}: {}", pgvigil.stderr());
        assert_eq!(reason(&page, "misnamed", "information"), Some("failed"), "{authority}: {}", pgvigil.stderr());
        assert!(pgvigil.stderr().contains(said), "{authority}: {}", pgvigil.stderr());
    }
}

#[test]
#[ignore = "needs moto: make test-all"]
fn the_next_listing_has_the_key_that_is_in_the_file_then() {
    let files = certificates();
    let moto = Moto::start(Some(&files));
    let [(old, old_secret), (new, new_secret)] = moto.keys.as_slice() else { panic!("two keys") };
    let file = files.write("secret", "not yet").display().to_string();
    let of_file = format!("secret_key_file: {file}");
    let kept = orders("kept", &moto.url, old, &format!("secret_key: \"{old_secret}\""));
    let pgvigil = believing(&files, "ca", &[orders("rotated", &moto.url, old, &of_file), kept.clone()]);
    let expect = |name: &str, expected: Option<&str>| {
        until(&pgvigil, &format!("{name}: {expected:?}"), |page| reason(page, name, "information") == expected);
    };
    let replace = |file: &str, text: &str| {
        fs::rename(files.write("new", text), files.path().join(file)).expect("a file in its place");
    };
    expect("rotated", Some("failed"));
    expect("kept", None);
    replace("secret", old_secret);
    expect("rotated", None);
    assert!(!pgvigil.stderr().contains("loaded again"), "nothing was reloaded: {}", pgvigil.stderr());
    // The key's id stands in the settings, its secret in the file; then the old one ends.
    replace("secret", new_secret);
    replace("ca.yaml", &settings(&[orders("rotated", &moto.url, new, &of_file), kept]));
    moto.python(Some(&files), DELETE, &[new, new_secret, old]);
    expect("kept", Some("failed"));
    let refused = now();
    until(&pgvigil, "the new key is listed with", |page| {
        let listed = sample(page, "pgvigil_backup_information_timestamp_seconds", &[("repository", "rotated")]);
        listed > Some(refused) && reason(page, "rotated", "information").is_none()
    });
    for secret in [old_secret, new_secret] {
        assert!(!pgvigil.stderr().contains(secret.as_str()), "a secret in the log");
    }
}
