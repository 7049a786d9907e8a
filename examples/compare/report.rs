//! The figures as tables, and the targets beside them.

use crate::{
    figures::{Asked, Cost, Figures},
    pool_and_cache::PoolAndCache,
    service::Service,
};

/// From so many tables on a sample's cost is that of samples.
const MANY: usize = 1000;

/// Prints everything; `tables` are those of all databases together.
pub fn print(
    rows: &[Figures],
    asked: &Asked<'_>,
    service: Option<&Service>,
    pool_and_cache: &PoolAndCache,
    tables: usize,
) {
    print_figures(rows);
    println!("\n| slow collectors, caps raised | asked every | server CPU ms when asked |\n|---|--:|--:|");
    for Cost { collectors, ttl, server_ms } in asked.slow() {
        println!("| {} | {} s | {server_ms:.0} |", collectors.join(", "), ttl.as_secs());
    }
    println!("\n| target | is | met |\n|---|--:|---|");
    print_pool_and_cache(pool_and_cache);
    let [default, raised, peers @ ..] = rows else { return };
    print_own_targets(default, raised, tables);
    for peer in peers {
        print_ratios(raised, peer, service);
    }
}

fn print_pool_and_cache(PoolAndCache { samples, exporter_ms, pool_ms, cache_ms }: &PoolAndCache) {
    target(&format!("PgBouncer and Redis, {samples} samples: exporter CPU, ms"), *exporter_ms, 0.65);
    target("what is asked of PgBouncer: its CPU, ms", *pool_ms, 0.3);
    target("what is asked of Redis: its CPU, ms", *cache_ms, 0.2);
}

fn print_figures(rows: &[Figures]) {
    println!(
        "\n| | samples | page MB | first scrape ms | scrape ms | exporter CPU ms | us/sample | server CPU ms | server CPU ms, first \
         | statements | RSS MiB | grown MiB | sessions: most, kept | memory MiB: largest, all, kept |\n|{}",
        "---|".repeat(14)
    );
    for row in rows {
        println!(
            "| {} | {} | {:.2} | {:.0} | {:.1} | {:.2} | {:.2} | {:.1} | {:.0} | {:.0} | {:.0} | {:.0} | {}, {} | {:.0}, {:.0}, {:.0} |",
            row.name,
            row.samples,
            row.page_bytes as f64 / 1e6,
            row.first_ms,
            row.wall_ms,
            row.cpu_ms,
            row.us_per_sample(),
            row.server_ms,
            row.first_server_ms,
            row.statements,
            row.rss_mib,
            row.growth_mib,
            row.most.count,
            row.kept.count,
            row.most.largest_mib,
            row.most.all_mib,
            row.kept.all_mib
        );
    }
}

impl Figures {
    fn us_per_sample(&self) -> f64 {
        self.cpu_ms * 1000.0 / self.samples.max(1) as f64
    }
}

fn print_own_targets(default: &Figures, raised: &Figures, tables: usize) {
    let page = raised.page_bytes as f64 / 1e6;
    target("default caps: page, MB", default.page_bytes as f64 / 1e6, 10.0);
    target("default caps: growth of resident memory, MiB", default.growth_mib, 64.0);
    target("default caps: first scrape, s", default.first_ms / 1000.0, 10.0);
    target("caps raised: first scrape, s", raised.first_ms / 1000.0, 10.0);
    if tables >= MANY {
        target("caps raised: exporter CPU, us per sample", raised.us_per_sample(), 0.3);
    }
    target("caps raised: resident memory over 2 pages + 10 MB", raised.rss_mib * 1.048576 / (2.0 * page + 10.0), 1.0);
    target("caps raised: private memory of the largest session, MiB", raised.most.largest_mib, 30.0);
    target("caps raised: private memory of the sessions kept, MiB", raised.kept.all_mib, 30.0);
}

/// The server's CPU of a scrape against a peer's.
fn print_ratios(raised: &Figures, peer: &Figures, service: Option<&Service>) {
    let (same, slow) = if peer.name == "pg_exporter" { (0.35, 0.15) } else { (0.65, 0.25) };
    let print = |what: &str, ms: f64, other_ms: f64, at_most| {
        let what = format!("server CPU against {}: {what}, {ms:.1} against {other_ms:.1} ms", peer.name);
        target(&what, ms / other_ms, at_most);
    };
    print("a scrape that finds nothing slow due, as most do", raised.server_ms, peer.server_ms, slow);
    let Some(service) = service else { return };
    let Some(against) = service.against.get(peer.name) else { return };
    print("as shipped, a scrape every 15 s", service.shipped_ms, against.other_ms, slow);
    print("the same anew at every scrape", against.same_ms, against.other_seldom_ms, same);
    print("the same, sizes at every fifth scrape", against.slow_clock_ms(), against.other_seldom_ms, slow);
}

fn target(what: &str, is: f64, at_most: f64) {
    println!("| {what}: at most {at_most} | {is:.2} | {} |", if is <= at_most { "yes" } else { "NO" });
}
