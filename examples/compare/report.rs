//! The figures as tables, and the targets beside them.

use crate::figures::{Asked, Cost, Figures};

/// What the peers ask at each scrape too, of what pgvigil asks more rarely. Not among them: estimates, verdicts, histograms.
const SAME: [&str; 6] = ["tables", "index_usage", "table_sizes", "vacuum_tables", "database_size", "settings"];

/// Of these the sizes. (Texts of statements pgvigil does not ask for.)
const SIZES: [&str; 2] = ["table_sizes", "database_size"];

/// From so many tables on a sample's cost is that of samples.
const MANY: usize = 1000;

/// Prints everything; `tables` are those of all databases together.
pub fn print(rows: &[Figures], asked: &Asked<'_>, tables: usize) {
    print_figures(rows);
    let costs = Costs {
        slow: asked.slow(),
        same: asked.cost(&SAME),
        same_without_sizes: asked.cost(&SAME.iter().copied().filter(|name| !SIZES.contains(name)).collect::<Vec<_>>()),
        sizes: asked.cost(&SIZES),
    };
    costs.print();
    println!("\n| target | is | met |\n|---|--:|---|");
    let [default, raised, peers @ ..] = rows else { return };
    print_own_targets(default, raised, tables);
    for peer in peers {
        print_ratios(raised, peer, &costs);
    }
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

/// The server's CPU in milliseconds for what pgvigil asks more rarely than at each scrape.
struct Costs {
    slow: Vec<Cost>,
    same: f64,
    same_without_sizes: f64,
    sizes: f64,
}

impl Costs {
    fn print(&self) {
        println!("\n| slow collectors, caps raised | asked every | server CPU ms when asked |\n|---|--:|--:|");
        for cost in &self.slow {
            println!("| {} | {} s | {:.0} |", cost.collectors.join(", "), cost.ttl.as_secs(), cost.server_ms);
        }
        println!("| {} | as if at each scrape | {:.0} |", SAME.join(", "), self.same);
        println!("| the same without {} | as if at each scrape | {:.0} |", SIZES.join(", "), self.same_without_sizes);
    }

    /// All slow collectors' part of one scrape, when there is one every so many seconds.
    fn share(&self, seconds: f64) -> f64 {
        self.slow.iter().map(|cost| cost.server_ms * (seconds / cost.ttl.as_secs_f64()).min(1.0)).sum()
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

/// The server's CPU of a scrape against a peer's: with the same things asked at every scrape; with sizes every 5 minutes;
/// with everything as it is shipped.
fn print_ratios(raised: &Figures, peer: &Figures, costs: &Costs) {
    let (same, slow) = if peer.name == "pg_exporter" { (0.35, 0.15) } else { (0.65, 0.25) };
    let print = |what: &str, ms: f64, at_most| {
        target(&format!("server CPU against {}: {what}", peer.name), (raised.server_ms + ms) / peer.server_ms, at_most);
    };
    print("a scrape that finds nothing slow due, as most do", 0.0, slow);
    print("the same at every scrape", costs.same, same);
    print("tables and indexes at every scrape, sizes every 5 min", costs.same_without_sizes + costs.sizes / 20.0, slow);
    print("all collectors as shipped, a scrape every 15 s", costs.share(15.0), slow);
    print("all collectors as shipped, a scrape every 60 s", costs.share(60.0), slow);
}

fn target(what: &str, is: f64, at_most: f64) {
    println!("| {what}: at most {at_most} | {is:.2} | {} |", if is <= at_most { "yes" } else { "NO" });
}
