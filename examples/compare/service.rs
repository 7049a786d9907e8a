//! What pgvigil costs a server as a service: scraped by the clock, with everything that falls due meanwhile.

use std::{collections::BTreeMap, path::Path, time::Duration};

use crate::{
    exporters::{Exporter, OFTEN, SAME, Same, only},
    figures::in_service,
    support::Postgres,
};

/// The server's CPU in milliseconds for each scrape.
pub struct Service {
    /// All collectors, by their own clocks, scraped every 15 s.
    pub shipped_ms: f64,
    /// By the name of another exporter: what that one asks too, at each scrape and uncut.
    pub same: BTreeMap<&'static str, SameMs>,
}

/// The server's CPU in milliseconds for each scrape.
pub struct SameMs {
    pub all: f64,
    without_heavy: f64,
}

impl Service {
    /// As shipped, and twice for each of the other exporters, one after another.
    pub fn measure(program: &Path, server: &Postgres, minutes: u32, peers: &[&str]) -> Service {
        const SHIPPED: Duration = Duration::from_secs(15);
        let cost = |name, settings: &str, every: Duration| {
            let exporter = Exporter::pgvigil(name, "pgvigil", program, server, settings, every == OFTEN);
            let scrapes = minutes * 60 / every.as_secs() as u32;
            in_service(&exporter, server, every, scrapes).unwrap_or_else(|why| panic!("{why}"))
        };
        let same = |same: &Same| SameMs {
            all: cost("pgvigil, what another asks", &only(&[same.asked, same.heavy].concat()), OFTEN),
            without_heavy: cost("pgvigil, the same without sizes and texts", &only(same.asked), OFTEN),
        };
        let shipped_ms = cost("pgvigil, as shipped", "", SHIPPED);
        let compared = SAME.iter().filter(|same| peers.contains(&same.peer));
        Service { shipped_ms, same: compared.map(|one| (one.peer, same(one))).collect() }
    }
}

impl SameMs {
    /// With sizes and texts at every fifth scrape.
    pub fn slow_clock(&self) -> f64 {
        self.without_heavy + (self.all - self.without_heavy) / 5.0
    }
}
