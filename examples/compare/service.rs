//! What pgvigil costs a server as a service: scraped by the clock, with everything that falls due meanwhile.

use std::{path::Path, time::Duration};

use crate::{
    exporters::{Exporter, OFTEN, SAME, SIZES, only},
    figures::in_service,
    support::Postgres,
};

/// The server's CPU in milliseconds for each scrape.
pub struct Service {
    /// All collectors, by their own clocks, scraped every 15 s.
    pub shipped_ms: f64,
    /// What the other exporters ask too, at each scrape and uncut.
    pub same_ms: f64,
    same_without_sizes_ms: f64,
}

impl Service {
    /// Three services, one after another.
    pub fn measure(program: &Path, server: &Postgres, minutes: u32) -> Service {
        const SHIPPED: Duration = Duration::from_secs(15);
        let cost = |name, settings: &str, every: Duration| {
            let exporter = Exporter::pgvigil(name, "pgvigil", program, server, settings, every == OFTEN);
            let scrapes = minutes * 60 / every.as_secs() as u32;
            in_service(&exporter, server, every, scrapes).unwrap_or_else(|why| panic!("{why}"))
        };
        Service {
            shipped_ms: cost("pgvigil, as shipped", "", SHIPPED),
            same_ms: cost("pgvigil, what the others ask", &only(&[&SAME[..], &SIZES].concat()), OFTEN),
            same_without_sizes_ms: cost("pgvigil, the same without sizes", &only(&SAME), OFTEN),
        }
    }

    /// With sizes at every fifth scrape.
    pub fn slow_clock_ms(&self) -> f64 {
        self.same_without_sizes_ms + (self.same_ms - self.same_without_sizes_ms) / 5.0
    }
}
