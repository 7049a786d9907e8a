//! Many hostile peers at once: what one may not do, twenty may not do together, but for their memory.

use super::*;

/// Hostile targets beside the good one.
const MANY: usize = 20;

/// What keeps a processor busy.
const BUSY_PEERS: [&str; 4] = [
    "SCRAM with as many rounds as there may be, and more",
    "rows of too few cells, and no end",
    "20,000 rows",
    "types that are made of types without end",
];

#[test]
fn p22_twenty_peers_leave_another_target_its_series() {
    let good = server(newest());
    let alone = series_alone(&good);
    for peer in postgres::peers().iter().filter(|peer| BUSY_PEERS.contains(&peer.name)) {
        if std::panic::catch_unwind(|| try_many(peer, &good, alone, ANNOUNCED)).is_err() {
            try_many(peer, &good, alone, LONGER);
        }
    }
}

fn try_many(peer: &Peer, good: &Postgres, alone: usize, announced: Duration) {
    let liar = Liar::start((peer.lie)());
    let site = Site { port: liar.port(), folder: Folder::new("peer", "TERM") };
    let one = settings(good, Some((peer.target)(&site)));
    let bad = format!("  - name: bad\n    {}\n", (peer.target)(&site));
    let many: String = (0..MANY).map(|nth| bad.replace("name: bad", &format!("name: bad{nth}"))).collect();
    let (pgvigil, _folder) = watch(&one.replace(&bad, &many));
    for _ in 0..SCRAPES {
        let page = scrape(&pgvigil, announced);
        assert_eq!(sample(&page, "pg_up", &[("target", "good")]), Some(1.0), "{}", peer.name);
        let of_good = of_target(&page, "good");
        assert!(of_good + 40 > alone, "{}: {of_good} series of the good one, alone it has {alone}", peer.name);
    }
    figure(22, peer.name, format!("{MANY} of it, {} MiB", pgvigil.rss_kib() >> 10));
}
