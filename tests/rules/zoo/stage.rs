//! The zoo as it stands: all its parts, and two pgvigils that watch them.

use std::{
    sync::Mutex,
    thread,
    time::{Duration, Instant},
};

use super::{
    alone, caches, clusters,
    part::{BEGIN, Part},
    shop,
};
use crate::{
    rules::fire::stack::paces,
    support::{Folder, Pgvigil, eventually, page},
};
use serde_json::json;

const BINARY: &str = env!("CARGO_BIN_EXE_pgvigil");

/// The parts; those that take longest to make come first.
const MAKERS: [fn(u32) -> Part; 17] = [
    shop::shop,
    clusters::production,
    clusters::demoted,
    clusters::logical,
    alone::freezing,
    clusters::indexing,
    clusters::switchover,
    clusters::backed_up,
    alone::customers,
    alone::crashed,
    alone::dumped,
    alone::fresh,
    alone::pooled,
    alone::developer,
    alone::batch,
    alone::integration,
    caches::caches,
];

/// As many are made at once.
const HANDS: usize = 4;

/// Fields end in this order: first who watches.
pub struct Stage {
    pub first: Pgvigil,
    pub second: Pgvigil,
    settings: Folder,
    parts: Vec<Part>,
}

impl Stage {
    pub fn start(major: u32) -> Stage {
        let began = Instant::now();
        let makers = Mutex::new(MAKERS.iter());
        let hand = || {
            let mut made = Vec::new();
            loop {
                let next = makers.lock().expect("no panic while held").next();
                let Some(make) = next else { return made };
                made.push(make(major));
            }
        };
        let parts: Vec<Part> = thread::scope(|scope| {
            let hands: Vec<_> = (0..HANDS).map(|_| scope.spawn(hand)).collect();
            hands.into_iter().flat_map(|hand| hand.join().expect("making a part")).collect()
        });
        let settings = Folder::new("settings", "TERM");
        let first = watch(&settings, "first", &targets(&parts));
        let second = watch(&settings, "second", &(seconds(&parts) + &retired(&parts)));
        println!("the zoo stands after {:.0?}", began.elapsed());
        Stage { first, second, settings, parts }
    }

    /// What happens before a page.
    pub fn act(&mut self, page: usize) {
        self.parts.iter_mut().flat_map(|part| &mut part.acts).for_each(|act| act(page));
        if page == BEGIN {
            write(&self.settings, "second", &seconds(&self.parts));
            self.second.signal("HUP");
            let names = || page::samples(&self.second.scrape(), "pgvigil_circuit_state", &[]).len();
            eventually(Duration::from_secs(20), "a target is gone", || names() == 2);
        }
    }
}

fn targets(parts: &[Part]) -> String {
    parts.iter().map(|part| &*part.targets).collect()
}

/// What the second pgvigil watches too.
fn seconds(parts: &[Part]) -> String {
    let all = targets(parts);
    all.lines()
        .filter(|line| line.contains("name: main,") || line.contains("name: replica,"))
        .map(|line| format!("{line}\n"))
        .collect()
}

fn retired(parts: &[Part]) -> String {
    let all = targets(parts);
    let fresh = all.lines().find(|line| line.contains("name: fresh,")).expect("a fresh server");
    fresh.replace("name: fresh,", "name: retired,") + "\n"
}

fn watch(settings: &Folder, name: &str, targets: &str) -> Pgvigil {
    let file = write(settings, name, targets);
    Pgvigil::start(BINARY, &["--config", &file], &[])
}

fn write(settings: &Folder, name: &str, targets: &str) -> String {
    let paces = json!(paces("4s"));
    settings.write(&format!("{name}.yaml"), &format!("targets:\n{targets}collectors: {paces}\n")).display().to_string()
}
