//! Connection strings: what good ones mean, and that malformed ones are refused without repeating a password.

use pgvigil::settings::connection::{dsn::Dsn, model::Address, postgres::resolve, redis};
use proptest::prelude::*;

/// `user password address dbname`, as a connection string means them.
#[test]
fn connection_strings_mean_what_libpq_says() {
    for (dsn, meaning) in [
        ("postgres://u@h", "u - h:5432 u"),
        ("postgresql://u:p%40%2f:%C3%A9@h:6/d%20b", "u p@/:é h:6 d b"),
        ("postgres://u@[::1]:7/d", "u - ::1:7 d"),
        ("postgres://u@[::1]/d", "u - ::1:5432 d"),
        ("postgres://u@/d", "u - localhost:5432 d"),
        ("postgres:///d?host=/var/run&user=u&password=p", "u p /var/run/.s.PGSQL.5432 d"),
        ("postgres://u@%2Fvar%2Frun:7", "u - /var/run/.s.PGSQL.7 u"),
        ("postgres://u@h/d?connect_timeout=5&application_name=x&target_session_attrs=any", "u - h:5432 d"),
        ("postgres://u@h/d?channel_binding=prefer&&gssencmode=disable", "u - h:5432 d"),
        ("postgres://u@localhost/d?host=/s", "u - /s/.s.PGSQL.5432 d"),
        ("host=h user=u", "u - h:5432 u"),
        (" host = h  user = 'u v' password='it\\'s' dbname=a\\ b ", "u v it's h:5432 a b"),
        ("host=::1 user=u port=9 password=''", "u - ::1:9 u"),
    ] {
        let postgres = resolve(&Dsn::parse(dsn).unwrap_or_else(|wrong| panic!("{dsn}: {wrong}")));
        let postgres = postgres.unwrap_or_else(|wrongs| panic!("{dsn}: {wrongs:?}"));
        let password = postgres.password.as_ref().map_or("-", |password| password.expose());
        let address = match &postgres.address {
            Address::Tcp { host, port } => format!("{host}:{port}"),
            Address::Unix(path) => path.display().to_string(),
        };
        assert_eq!(format!("{} {password} {address} {}", postgres.user, postgres.database), meaning, "{dsn}");
    }
}

#[test]
fn the_systems_authorities_are_believed_only_for_the_right_host() {
    for (parameters, taken) in [
        ("sslmode=verify-ca", false),
        ("sslmode=verify-ca&sslrootcert=system", false),
        ("sslmode=verify-ca&sslrootcert=/ca.pem", true),
        ("sslmode=verify-full", true),
        ("sslrootcert=system", true),
        ("sslmode=require", true),
    ] {
        let dsn = Dsn::parse(&format!("postgres://u@h?{parameters}")).unwrap_or_else(|wrong| panic!("{wrong}"));
        assert_eq!(resolve(&dsn).is_ok(), taken, "{parameters}");
    }
}

#[test]
fn malformed_connection_strings_are_refused_without_a_word_of_them() {
    for dsn in [
        "",
        "s3cret",
        "postgres:s3cret",
        "postgres://",
        "postgres://u:pa/s3cret@host/db",
        "postgres://u:p@s3cret@host/db",
        "postgres://u:12/34s3cret@h/db",
        "postgres://u:s3cret?x@h/db",
        "postgres://u:s3#cret@h/db",
        "postgres://u:s3cret",
        "postgres://u@h/db?password=s3cret@x",
        "postgres://u@h/db?password=s3cret#",
        "postgres://u:s3%cret@h/db",
        "postgres://u:s3%+1cret@h/db",
        "postgres://u:s3%é@h/db",
        "postgres://u:s3cret%@h",
        "postgres://u:s3cret@h/a/b",
        "postgres://u:s3cret@[::1/db",
        "postgres://u:s3cret@[::1]x/db",
        "postgres://u:s3cret@::1/db",
        "postgres://u:s3cret@h:5432:1/db",
        "postgres://u:s3cret@h:0/db",
        "postgres://u:s3cret@h:+1/db?s3cret=1",
        "postgres://u:s3cret@a,b/db",
        "postgres://u:s3cret@h/db?s3cret",
        "postgres://u:s3cret@h/db?pasword=s3cret",
        "postgres://u:s3cret@h/db?sslmode=s3cret",
        "postgres://u:s3cret@h/db?sslmode=allow",
        "postgres://u:s3cret@h/db?sslmode=verify-ca",
        "postgres://u:s3cret@h/db?sslmode=verify-ca&sslrootcert=system",
        "postgres:///db?password=s3cret",
        "postgresql+psycopg://u:s3cret@h/db",
        "jdbc:postgresql://h/db?password=s3cret",
        "POSTGRES://u:s3cret@h/db",
        "postgres://u:s3cret@h/db\0",
        "postgres://u:s3cret @h/db",
        "postgres://u:s3\ncret@h/db",
        "host=h user=u s3cret",
        "host=h user=u password='s3cret",
        "host=h user=u password=s3'cret",
        "host=h user=u password='s3'cret'",
        "host=h user=u password=s3cret\\",
        "host=h user=u password s3cret x=1",
        "host=h user=u s3cret=1",
        "=s3cret",
        "host=h,i user=u password=s3cret",
        "host=s3cret! user=u",
        "hostaddr=1.1.1.1 user=u password=s3cret",
    ] {
        let told = match Dsn::parse(dsn).map_err(|wrong| vec![wrong]).and_then(|dsn| resolve(&dsn)) {
            Ok(postgres) => panic!("{dsn} was taken: {postgres:?}"),
            Err(wrongs) => format!("{wrongs:?} {}", wrongs.iter().map(ToString::to_string).collect::<String>()),
        };
        assert!(!told.contains("s3") && !told.contains("cret"), "{dsn}: {told}");
    }
}

/// `user password address database mode`, as a URL of Redis means them.
#[test]
fn urls_of_redis_mean_what_its_clients_say() {
    for (url, meaning) in [
        ("redis://h", "- - h:6379 0 Disable"),
        ("redis://", "- - localhost:6379 0 Disable"),
        (" redis://h:1/ ", "- - h:1 0 Disable"),
        ("redis://:p%40%2f:%C3%A9@h/3", "- p@/:é h:6379 3 Disable"),
        ("redis://u:p@[::1]:7/3", "u p ::1:7 3 Disable"),
        ("redis://u@h?db=4&password=p&sslmode=require", "u p h:6379 4 Require"),
        ("redis://h/1?db=2", "- - h:6379 2 Disable"),
        ("redis://h?sslrootcert=/ca.pem", "- - h:6379 0 VerifyFull"),
        ("rediss://h", "- - h:6379 0 VerifyFull"),
        ("rediss://u:p@h:6380/0?sslmode=verify-ca&sslrootcert=/ca.pem", "u p h:6380 0 VerifyCa"),
        ("rediss://h?sslmode=require&sslrootcert=/ca.pem", "- - h:6379 0 VerifyCa"),
        ("unix:///run/redis/redis.sock", "- - /run/redis/redis.sock 0 Disable"),
        ("unix://u:p@/run/a%20b.sock?db=1", "u p /run/a b.sock 1 Disable"),
        ("redis+unix:///s?password=p", "- p /s 0 Disable"),
    ] {
        let dsn = redis::parse(url).unwrap_or_else(|wrong| panic!("{url}: {wrong}"));
        let redis = redis::resolve(&dsn).unwrap_or_else(|wrongs| panic!("{url}: {wrongs:?}"));
        let password = redis.password.as_ref().map_or("-", |password| password.expose());
        let (user, database, mode) = (redis.user.as_deref().unwrap_or("-"), redis.database, redis.tls.mode);
        let address = match &redis.address {
            Address::Tcp { host, port } => format!("{host}:{port}"),
            Address::Unix(path) => path.display().to_string(),
        };
        assert_eq!(format!("{user} {password} {address} {database} {mode:?}"), meaning, "{url}");
    }
}

#[test]
fn malformed_urls_of_redis_are_refused_without_a_word_of_them() {
    for url in [
        "",
        "s3cret",
        "h:6379",
        "redis:s3cret",
        "redis:///s3cret",
        "redis:/:s3cret@h",
        "REDIS://:s3cret@h",
        "redis://:pa/s3cret@h",
        "redis://:p@s3cret@h",
        "redis://:s3#cret@h",
        "redis://:s3%cret@h",
        "redis://:s3 cret@h",
        "redis://:s3cret@h\0",
        "redis://:s3cret@h:0",
        "redis://:s3cret@h:s3cret",
        "redis://:s3cret@h/s3cret",
        "redis://:s3cret@h/-1",
        "redis://:s3cret@h/1/2",
        "redis://:s3cret@a,b",
        "redis://:s3cret@h!",
        "redis://:s3cret@h?s3cret",
        "redis://:s3cret@h?s3cret=1",
        "redis://:s3cret@h?db=s3cret",
        "redis://h?password=s3cret&password=s3cret",
        "redis://:s3cret@h?sslmode=s3cret",
        "redis://:s3cret@h?sslmode=prefer",
        "rediss://:s3cret@h?sslmode=verify-ca",
        "unix://s3cret",
        "unix://:s3cret@h/redis.sock",
        "unix://:s3cret@/",
    ] {
        let told = match redis::parse(url).map_err(|wrong| vec![wrong]).and_then(|dsn| redis::resolve(&dsn)) {
            Ok(redis) => panic!("{url} was taken: {redis:?}"),
            Err(wrongs) => format!("{wrongs:?} {}", wrongs.iter().map(ToString::to_string).collect::<String>()),
        };
        assert!(!told.contains("s3") && !told.contains("cret"), "{url}: {told}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// Whatever a password contains, no part of it is taken for a host, a port or a database.
    #[test]
    fn a_password_stays_a_password(password in "[ -~é\\x00]{0,12}|[@/?#:%&=a]{0,6}") {
        let url = format!("postgres://u:{password}@h:6/d");
        if let Ok(postgres) = Dsn::parse(&url).map_err(|wrong| vec![wrong]).and_then(|dsn| resolve(&dsn)) {
            prop_assert_eq!(postgres.address, Address::Tcp { host: "h".into(), port: 6 });
            prop_assert_eq!((postgres.user, postgres.database), ("u".into(), "d".into()));
        }
        let url = format!("redis://u:{password}@h:6/5");
        if let Ok(redis) = redis::parse(&url).map_err(|wrong| vec![wrong]).and_then(|dsn| redis::resolve(&dsn)) {
            prop_assert_eq!(redis.address, Address::Tcp { host: "h".into(), port: 6 });
            prop_assert_eq!((redis.user, redis.database), (Some("u".into()), 5));
        }
    }
}
