//! What exporters cost a server as services: scraped by the clock, with everything that falls due meanwhile.

use std::{collections::BTreeMap, path::Path, time::Duration};

use crate::{
    exporters::{Exporter, OFTEN, SAME, Same, only},
    figures::in_service,
    support::Postgres,
};

/// How often the exporters are scraped to compare what ships.
const SHIPPED: Duration = Duration::from_secs(15);

/// The server's CPU in milliseconds for each scrape.
pub struct Service {
    /// All collectors of pgvigil, by their own clocks, scraped every 15 s.
    pub shipped_ms: f64,
    /// By the name of another exporter.
    pub against: BTreeMap<&'static str, Against>,
}

/// The server's CPU in milliseconds for each scrape: of another exporter, and of pgvigil.
pub struct Against {
    /// The other, scraped every 15 s, and as often as pgvigil is for what follows: a server that was asked for something else since, or for
    /// nothing, takes longer than one that is asked again at once.
    pub other_ms: f64,
    pub other_seldom_ms: f64,
    /// What that one asks too, at each scrape and uncut.
    pub same_ms: f64,
    without_sizes_ms: f64,
}

impl Service {
    /// As shipped, and both sides of each comparison, one after another.
    pub fn measure(program: &Path, server: &Postgres, minutes: u32, peers: &[Exporter]) -> Service {
        let cost = |exporter: &Exporter, every: Duration| {
            let scrapes = minutes * 60 / every.as_secs() as u32;
            in_service(exporter, server, every, scrapes).unwrap_or_else(|why| panic!("{why}"))
        };
        let own = |name, settings: &str, every| {
            cost(&Exporter::pgvigil(name, "pgvigil", program, server, settings, every == OFTEN), every)
        };
        let against = |peer: &Exporter, same: &Same| Against {
            other_ms: cost(peer, SHIPPED),
            other_seldom_ms: cost(peer, OFTEN),
            same_ms: own("pgvigil, what it asks", &only(&[same.asked, same.sizes].concat()), OFTEN),
            without_sizes_ms: own("pgvigil, the same without sizes", &only(same.asked), OFTEN),
        };
        let shipped_ms = own("pgvigil, as shipped", "", SHIPPED);
        let pairs = peers.iter().filter_map(|peer| Some((peer, SAME.iter().find(|same| same.peer == peer.name)?)));
        Service { shipped_ms, against: pairs.map(|(peer, same)| (peer.name, against(peer, same))).collect() }
    }
}

impl Against {
    /// With sizes at every fifth scrape.
    pub fn slow_clock_ms(&self) -> f64 {
        self.without_sizes_ms + (self.same_ms - self.without_sizes_ms) / 5.0
    }
}
