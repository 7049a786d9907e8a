//! A cached path with a Redis: stopped, frozen, full, full of garbage, and with what somebody planted there.

use std::{
    io::{Read, Write},
    net::TcpListener,
    thread,
};

use super::*;
use crate::support::redis::Redis;

/// Answers every command with something that is no answer.
fn babbler() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            thread::spawn(move || {
                while client.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                    _ = client.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
                }
            });
        }
    });
    port
}

#[test]
fn a_redis_in_trouble_is_done_without_and_come_back_to() {
    let server = Postgres::builder(newest()).start();
    create_role(&server);
    let redis = Redis::start("");
    let url = server.url("pgvigil_probe", "postgres");
    assert!(probe(&settings(&url, "      paths: [direct: {}]\n"), &["--install"]).status.success());
    let more = format!(
        "      paths:\n        - direct: {{}}\n        - pooled: {{}}\n        - {{name: redis, cached: {{redis: {{url: \"{}\"}}}}}}\n        \
         - {{name: babble, cached: {{redis: {{port: {}}}}}}}\n",
        redis.url(),
        babbler()
    );
    let (pgvigil, _folder) = serve(&settings(&url, &more).replace("500ms", "1s"));
    let get =
        |page: &str, name: &str, path: &str| total(page, &format!("pgvigil_probe_cache_{name}"), &[("path", path)]);
    let fallen = |page: &str, path: &str| sample(page, "pgvigil_probe_cache_fallback", &[("path", path)]);
    let wrong = |page: &str| total(page, "pgvigil_probe_comparisons_total", &[("path", "redis"), ("result", "wrong")]);
    let page = until(&pgvigil, "both caches are used", |page| {
        get(page, "hits_total", "redis") > 5.0 && get(page, "hits_total", "babble") > 5.0
    });
    assert_eq!((fallen(&page, "redis"), get(&page, "errors_total", "redis")), (Some(0.0), 0.0), "{page}");
    assert!(fallen(&page, "babble") == Some(1.0) && get(&page, "errors_total", "babble") > 0.0, "{page}");
    assert!(get(&page, "loads_saved_total", "redis") >= 40.0, "the crowd: {page}");
    assert_eq!(wrong(&page), 0.0);
    let keys = redis.run("KEYS pgvigil_probe:*");
    assert!(keys.lines().count() >= 5 && keys.contains(":redis:point:"), "{keys}");
    type Trouble = (&'static str, fn(&Redis), fn(&Redis));
    let troubles: [Trouble; 3] = [
        ("stopped", Redis::kill, Redis::start_again),
        ("frozen", |redis| redis.signal("STOP"), |redis| redis.signal("CONT")),
        ("full", |redis| _ = redis.run("CONFIG SET maxmemory 1"), |redis| _ = redis.run("CONFIG SET maxmemory 0")),
    ];
    for (what, begin, end) in troubles {
        begin(&redis);
        let before = until(&pgvigil, what, |page| fallen(page, "redis") == Some(1.0));
        until(&pgvigil, "the built-in cache hits", |page| {
            get(page, "hits_total", "redis") > get(&before, "hits_total", "redis") + 3.0
        });
        end(&redis);
        until(&pgvigil, "it goes back by itself", |page| fallen(page, "redis") == Some(0.0));
    }
    // What somebody else put there: no answer of ours is an error, another answer is wrong.
    let before = pgvigil.scrape();
    assert_eq!(wrong(&before), 0.0, "{before}");
    let plant = |command: &str| {
        for key in redis.run("KEYS pgvigil_probe:*point:*").lines() {
            redis.run(&command.replace("@key@", key));
        }
    };
    until(&pgvigil, "garbage is noticed", |page| {
        plant("SET @key@ garbage PX 5000");
        get(page, "errors_total", "redis") > get(&before, "errors_total", "redis")
    });
    until(&pgvigil, "a planted answer is noticed", |page| {
        plant(
            "EVAL \"return redis.call('EXISTS', KEYS[1]) == 1 and redis.call('SETRANGE', KEYS[1], 20, '#')\" 1 @key@",
        );
        wrong(page) > 0.0
    });
    let page = pgvigil.scrape();
    let failures = total(&page, "pgvigil_probe_failures_total", &[]) - total(&page, "pgvigil_probe_missed_total", &[]);
    assert_eq!(failures, 0.0, "no trouble of a cache is a failure of its path: {page}");
}
