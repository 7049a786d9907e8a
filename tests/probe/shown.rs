//! What a cache and a replica show: hits, misses and endings in steady state, old answers, wrong ones, and how late
//! writes are seen.

use super::*;

/// A primary with the probe's tables.
fn installed() -> (Postgres, String) {
    let primary = Postgres::builder(newest()).start();
    create_role(&primary);
    let url = primary.url("pgvigil_probe", "postgres");
    let made = probe(&settings(&url, "      paths: [direct: {}]\n"), &["--install"]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    (primary, url)
}

/// Failures but for what a busy machine did not come to.
fn broken(page: &str) -> f64 {
    total(page, "pgvigil_probe_failures_total", &[]) - total(page, "pgvigil_probe_missed_total", &[])
}

#[test]
fn a_cache_hits_misses_forgets_and_holds_against_a_crowd() {
    let (_primary, url) = installed();
    let more = "      paths: [{direct: {}}, {pooled: {}}, {cached: {}}]\n      objectives: {round_trip: 1s}\n";
    let (pgvigil, _folder) = serve(&settings(&url, more).replace("500ms", "1s"));
    let get = |page: &str, name: &str| total(page, &format!("pgvigil_probe_cache_{name}_total"), &[]);
    let page = until(&pgvigil, "the cache forgets", |page| get(page, "hits") > 20.0 && get(page, "expired") > 10.0);
    for (name, least) in [("misses", 60.0), ("loads", 10.0), ("loads_saved", 40.0), ("stampedes", 1.0)] {
        assert!(get(&page, name) >= least, "{name}: {}", get(&page, name));
    }
    assert_eq!(get(&page, "misses"), get(&page, "loads") + get(&page, "loads_saved"));
    let count = |phase| total(&page, "pgvigil_probe_duration_seconds_count", &[("path", "cached"), ("phase", phase)]);
    assert!(count("hit") > 20.0 && count("miss") > 10.0);
    assert_eq!(count("hit") + count("miss"), count("total"));
    assert!(sample(&page, "pgvigil_probe_cache_entries", &[]).is_some_and(|entries| entries <= 25.0));
    assert_eq!(sample(&page, "pgvigil_probe_cache_capacity_entries", &[]), Some(5000.0));
    let of_total = [("path", "cached"), ("query", "round_trip"), ("phase", "total"), ("le", "1.0")];
    let within = total(&page, "pgvigil_probe_within_objective_total", &of_total[..2]);
    assert!(within > 0.0 && within == total(&page, "pgvigil_probe_duration_seconds_bucket", &of_total), "{within}");
    assert_eq!(
        sample(&page, "pgvigil_probe_comparisons_total", &[("path", "cached"), ("query", "join"), ("result", "wrong")]),
        Some(0.0)
    );
    assert!(total(&page, "pgvigil_probe_comparisons_total", &[("path", "cached"), ("result", "same")]) > 30.0);
    let others = total(&page, "pgvigil_probe_comparisons_total", &[])
        - total(&page, "pgvigil_probe_comparisons_total", &[("result", "same")]);
    assert_eq!((others, broken(&page)), (0.0, 0.0), "{page}");
}

#[test]
fn a_paused_replica_and_a_stranger_show() {
    let (primary, url) = installed();
    let replica = primary.replica();
    let (stranger, _) = installed();
    stranger.sql("postgres", "UPDATE pgvigil_probe.product SET price = 0 WHERE id = 1234");
    primary.sql(
        "postgres",
        "CREATE TABLE public.version AS SELECT 1 AS n; GRANT SELECT ON public.version TO pgvigil_probe",
    );
    stranger.sql(
        "postgres",
        "CREATE TABLE public.version AS SELECT 1 AS n; GRANT SELECT ON public.version TO pgvigil_probe",
    );
    let more = format!(
        "      write: true\n      paths: [{{direct: {{}}}}, {{pooled: {{}}}}, {{cached: {{}}}}, {{replica: {{port: {}}}}}, \
         {{name: stranger, replica: {{port: {}}}}}]\n      queries: [{{name: version, sql: TABLE public.version, objective: 1s}}]\n",
        replica.port(),
        stranger.port()
    );
    let (pgvigil, _folder) = serve(&settings(&url, &more).replace("500ms", "1s"));
    let age = |page: &str, path: &str| sample(page, "pgvigil_probe_visible_age_seconds", &[("path", path)]);
    let compared = |page: &str, path: &str, query: &str, result: &str| {
        total(page, "pgvigil_probe_comparisons_total", &[("path", path), ("query", query), ("result", result)])
    };
    let page = until(&pgvigil, "writes are seen", |page| {
        let written = total(page, "pgvigil_probe_successes_total", &[("path", "write")]);
        written > 5.0 && compared(page, "stranger", "point", "wrong") > 1.0 && age(page, "cached").is_some()
    });
    assert!(
        age(&page, "replica").is_some_and(|age| age < 1.0) && age(&page, "cached").is_some_and(|age| age < 9.0),
        "{page}"
    );
    for (path, query) in [("replica", "point"), ("cached", "complex"), ("stranger", "round_trip")] {
        assert!(
            compared(&page, path, query, "same") > 0.0 && compared(&page, path, query, "wrong") == 0.0,
            "{path}/{query}"
        );
    }
    // Cut off: what it shows grows old; on the stranger no token is ever seen.
    replica.sql("postgres", "SELECT pg_wal_replay_pause()");
    primary.sql("postgres", "UPDATE public.version SET n = 2");
    let page = until(&pgvigil, "the replica falls behind", |page| {
        age(page, "replica").is_some_and(|age| age > 4.0) && compared(page, "replica", "version", "stale") > 2.0
    });
    assert!(age(&page, "stranger") > age(&page, "replica") && age(&page, "cached") < age(&page, "replica"), "{page}");
    assert_eq!(compared(&page, "replica", "version", "wrong"), 0.0);
    assert!(compared(&page, "cached", "version", "wrong") == 0.0, "{page}");
    replica.sql("postgres", "SELECT pg_wal_replay_resume()");
    until(&pgvigil, "the replica catches up", |page| age(page, "replica").is_some_and(|age| age < 1.0));
    // When nothing can be written there is nothing to see, and no replica is to blame.
    primary.sql("postgres", "ALTER TABLE pgvigil_probe.token ADD CHECK (token < 0) NOT VALID");
    let fails = |page: &str| total(page, "pgvigil_probe_failures_total", &[("path", "write")]);
    let page = until(&pgvigil, "writes fail", |page| fails(page) > 4.0);
    assert!(age(&page, "replica").is_some_and(|age| age < 1.0), "{page}");
}
