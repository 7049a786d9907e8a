//! Backups in a bucket of an S3-compatible service that checks signatures.

use std::{
    net::TcpStream,
    process::Command,
    time::{Duration, UNIX_EPOCH},
};

use super::{reason, settings, until, watch};
use crate::support::{Folder, eventually, free_port, place::moto_program, process::Process, sample};

/// Makes a user with a key, a bucket and objects in it, and prints the key. The first three requests need no key.
const FILL: &str = r#"
import boto3, json, sys
def client(service, key='none', secret='none'):
    return boto3.client(service, endpoint_url=sys.argv[1], region_name='us-east-1', aws_access_key_id=key, aws_secret_access_key=secret)
iam = client('iam')
iam.create_user(UserName='u')
allow = {'Version': '2012-10-17', 'Statement': [{'Effect': 'Allow', 'Action': ['s3:*'], 'Resource': '*'}]}
iam.put_user_policy(UserName='u', PolicyName='p', PolicyDocument=json.dumps(allow))
key = iam.create_access_key(UserName='u')['AccessKey']
s3 = client('s3', key['AccessKeyId'], key['SecretAccessKey'])
s3.create_bucket(Bucket='backups')
for name, size in [('orders/old & odd.dump', 5), ('orders/orders-20261117-020000.dump', 7), ('orders/notes.txt', 9), ('other/x.dump', 1)]:
    s3.put_object(Bucket='backups', Key=name, Body=b'x' * size)
for number in range(1100):
    s3.put_object(Bucket='backups', Key=f'many/{number}.dump', Body=b'x')
print(key['AccessKeyId'], key['SecretAccessKey'])
"#;

#[test]
fn objects_are_listed_with_a_signature_that_is_checked() {
    if std::env::var_os("PGVIGIL_TEST_LONG").is_none() {
        return;
    }
    let (folder, port) = (Folder::new("moto", "TERM"), free_port());
    let mut server = folder.logged_command(moto_program("moto_server"));
    server.args(["-H", "127.0.0.1", "-p", &port.to_string()]).env("INITIAL_NO_AUTH_ACTION_COUNT", "3");
    let _server = Process::start(&mut server);
    eventually(Duration::from_secs(60), "moto listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
    let url = format!("http://127.0.0.1:{port}");
    let filled = Command::new(moto_program("python")).args(["-c", FILL, &url]).output().expect("python runs");
    let keys = String::from_utf8_lossy(&filled.stdout).into_owned();
    let (key, secret) = keys.trim().split_once(' ').unwrap_or_else(|| panic!("{filled:?}\n{}", folder.log()));
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
    let now = std::time::SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs_f64();
    assert!(of("well", "pgvigil_backup_last_timestamp_seconds").is_some_and(|time| (now - time).abs() < 600.0));
    assert!(of("well", "pgvigil_backup_last_size_bytes").is_some_and(|size| size == 5.0 || size == 7.0));
    assert_eq!(of("named", "pgvigil_backup_last_timestamp_seconds"), Some(1_794_880_800.0));
    assert_eq!(of("named", "pgvigil_backup_values_skipped_total").map(|odd| odd >= 2.0), Some(true));
    for (name, expected) in [("refused", "failed"), ("absent", "missing"), ("down", "failed"), ("other", "failed")] {
        assert_eq!(reason(&page, name, "information"), Some(expected), "{name}\n{}", pgvigil.stderr());
        assert_eq!(of(name, "pgvigil_backup_restore_points"), None, "{name}");
    }
    assert!(!pgvigil.stderr().contains(secret));
}
