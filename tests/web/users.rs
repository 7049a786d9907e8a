//! Users, headers and the limit on requests.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{Folder, Pgvigil, expect_ended, http};

use super::{basic, closed, users};

const ALL_PATHS: [&str; 9] =
    ["/metrics", "/", "/sd", "/probe", "/health", "/healthz", "/readyz", "/-/reload", "/nothing"];

/// The status, with this header `Authorization`.
fn status(pgvigil: &Pgvigil, path: &str, authorization: Option<&str>) -> u16 {
    let headers: Vec<_> = authorization.iter().map(|value| ("Authorization", *value)).collect();
    pgvigil.get(path, &headers).status
}

#[test]
fn strangers_get_no_page_at_all() {
    let folder = Folder::new("users", "TERM");
    let pgvigil = closed(&folder, &users(&[("prometheus", "s3cret"), ("jo:".trim_end_matches(':'), "pässword: 1")]));
    let (right, other) = (basic("prometheus", "s3cret"), basic("jo", "pässword: 1"));
    let wrong = [
        basic("prometheus", "S3cret"),
        basic("prometheus", ""),
        basic("jo", "s3cret"),
        basic("nobody", "s3cret"),
        basic("", ""),
        right.replace("Basic", "Bearer"),
        right.replace("Basic ", "Basic"),
        "Basic %%%".to_owned(),
        "Basic".to_owned(),
        String::new(),
    ];
    for path in ALL_PATHS {
        assert_eq!(status(&pgvigil, path, None), 401, "{path}");
        for _ in 0..2 {
            assert_eq!(status(&pgvigil, path, Some(&wrong[0])), 401, "{path}");
            assert_ne!(status(&pgvigil, path, Some(&right)), 401, "{path}");
        }
    }
    for wrong in wrong {
        assert_eq!(status(&pgvigil, "/metrics", Some(&wrong)), 401, "{wrong}");
    }
    for right in [right.clone(), other, right.replace("Basic", "basic")] {
        assert_eq!(status(&pgvigil, "/metrics", Some(&right)), 200, "{right}");
    }
    assert_eq!(http::ask(pgvigil.address(), "POST", "/-/reload", &[]).expect("an answer").status, 401);
    let refused = pgvigil.get("/metrics", &[]);
    assert!(refused.header("www-authenticate").is_some_and(|asked| asked.starts_with("Basic ")));
    assert!(!refused.text().contains("pg_"), "{}", refused.text());
}

/// A flood of wrong passwords keeps nobody waiting whose password was right once, not even after a reload.
#[test]
fn wrong_passwords_are_no_way_to_keep_us_busy() {
    let folder = Folder::new("flood", "TERM");
    let hash = bcrypt::hash("s3cret", 12).expect("a hash");
    let pgvigil = closed(&folder, &format!("basic_auth_users: {{prometheus: '{hash}'}}\n"));
    let right = basic("prometheus", "s3cret");
    assert_eq!(status(&pgvigil, "/metrics", Some(&right)), 200);
    thread::scope(|scope| {
        let flood: Vec<_> = (0..40)
            .map(|n| {
                let pgvigil = &pgvigil;
                scope.spawn(move || status(pgvigil, "/healthz", Some(&basic("prometheus", &format!("guess {n}")))))
            })
            .collect();
        let began = Instant::now();
        for round in 0..5 {
            assert_eq!(status(&pgvigil, "/metrics", Some(&right)), 200, "{round}");
            pgvigil.signal("HUP");
        }
        let took = began.elapsed();
        println!("five pages beside 40 wrong passwords: {took:?}");
        expect_ended("five pages", began, Duration::ZERO);
        let answers: Vec<u16> = flood.into_iter().map(|one| one.join().expect("an answer")).collect();
        assert!(answers.iter().all(|status| [401, 429].contains(status)), "{answers:?}");
        assert!(answers.contains(&429), "all were compared: {answers:?}");
    });
}

/// Whether a user exists does not show in how long a refusal takes.
#[test]
fn a_user_who_does_not_exist_is_compared_with_too() {
    let folder = Folder::new("timing", "TERM");
    let hash = bcrypt::hash("s3cret", 12).expect("a hash");
    let pgvigil = closed(&folder, &format!("basic_auth_users: {{prometheus: '{hash}'}}\n"));
    let shortest = |name: &str| {
        let took = |n: u32| {
            let began = Instant::now();
            assert_eq!(status(&pgvigil, "/healthz", Some(&basic(name, &format!("guess {n}")))), 401);
            began.elapsed()
        };
        (0..3).map(took).min().expect("a time")
    };
    let (known, unknown) = (shortest("prometheus"), shortest("nobody"));
    println!("refused: a user who exists {known:?}, one who does not {unknown:?}");
    assert!(unknown * 4 > known && known * 4 > unknown, "{known:?} {unknown:?}");
}

#[test]
fn every_answer_has_the_headers() {
    let folder = Folder::new("headers", "TERM");
    let headers = "http_server_config:\n  headers:\n    Strict-Transport-Security: max-age=31536000\n    X-Frame-Options: deny\n    \
                   X-Content-Type-Options: nosniff\n    X-XSS-Protection: ''\n    Content-Security-Policy: default-src 'self'\n";
    let pgvigil = closed(&folder, &(headers.to_owned() + &users(&[("prometheus", "s3cret")])));
    let right = basic("prometheus", "s3cret");
    for (path, authorization) in ALL_PATHS.into_iter().flat_map(|path| [(path, ""), (path, right.as_str())]) {
        let answer = pgvigil.get(path, &[("Authorization", authorization)]);
        for (name, value) in [
            ("strict-transport-security", Some("max-age=31536000")),
            ("x-frame-options", Some("deny")),
            ("x-content-type-options", Some("nosniff")),
            ("x-xss-protection", None),
            ("content-security-policy", Some("default-src 'self'")),
        ] {
            assert_eq!(answer.header(name), value, "{path} {}: {name}", answer.status);
        }
    }
}

#[test]
fn requests_beyond_the_limit_are_refused() {
    let folder = Folder::new("rate", "TERM");
    let pgvigil = closed(&folder, "rate_limit: {interval: 1h, burst: 3}\n");
    let statuses: Vec<_> = (0..5).map(|_| pgvigil.get("/healthz", &[]).status).collect();
    assert_eq!(statuses, [200, 200, 200, 429, 429]);
    assert_eq!(pgvigil.get("/metrics", &[]).header("retry-after"), Some("1"));
}
