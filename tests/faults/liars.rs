//! Promises 2 and 15: whatever a peer says instead of PostgreSQL's protocol, the answer comes in time and memory is bounded.

use crate::support::together;

use super::{
    Scrape, figure, is_long,
    liar::{LIES, Liar},
    watch_url,
};

/// What the promise allows.
const GROWTH_KIB: u64 = 64 << 10;

#[test]
fn p15_no_lie_takes_time_or_memory() {
    together(LIES, |(name, lie)| {
        let liar = Liar::start(lie);
        let pgvigil = watch_url(&liar.url(), &[]);
        let before = pgvigil.rss_kib();
        let mut most = before;
        for _ in 0..if is_long() { 20 } else { 2 } {
            let scrape = Scrape::in_time(&pgvigil).expect_up(false, name);
            assert!(scrape.reason().is_some(), "{name}: {}", scrape.own());
            most = most.max(pgvigil.rss_kib());
            figure(15, name, format!("{:?}, {:?}, {} KiB more", scrape.took, scrape.reason(), most - before));
        }
        assert!(most - before <= GROWTH_KIB, "{name}: {} KiB more", most - before);
    });
}
