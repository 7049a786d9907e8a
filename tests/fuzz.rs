//! Bytes of every kind for everything that is read from strangers: good examples, changed at random. A second for each here;
//! `make fuzz` goes on for as long as one likes, and `cargo fuzz` towards what was not reached yet.

#[path = "../fuzz/targets.rs"]
mod targets;

use std::{
    env, fs,
    panic::catch_unwind,
    path::Path,
    thread,
    time::{Duration, Instant, UNIX_EPOCH},
};

// What the targets check pages with.
use crate::exposition::check;
use targets::TARGETS;

/// Inputs do not grow beyond this.
const LONGEST: usize = 32 << 10;

/// Bytes and words that parsers stumble over.
const ODD: [&[u8]; 16] = [
    b"\0",
    b"\n",
    b"\r\n",
    b"\t",
    b"\"",
    b"\\",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\xff",
    b"\xc3\xa9",
    b"-1",
    b"9223372036854775808",
    b"1e999",
    b": ",
];

fn files(place: &Path, end: &str) -> Vec<Vec<u8>> {
    if place.is_dir() {
        let entries = fs::read_dir(place).expect("a folder").flatten().map(|entry| entry.path());
        let mut paths: Vec<_> = entries.filter(|path| path.is_dir() || path.to_string_lossy().ends_with(end)).collect();
        paths.sort();
        return paths.iter().flat_map(|path| files(path, end)).collect();
    }
    fs::read(place).into_iter().collect()
}

/// Numbers that look like chance.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// A part of an input, 64 bytes at most.
    fn part(&mut self, bytes: &[u8]) -> std::ops::Range<usize> {
        let start = self.below(bytes.len() + 1);
        start..start + self.below(64.min(bytes.len() - start) + 1)
    }

    /// A good example with a few changes.
    fn input(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = self.of(seeds).clone();
        for _ in 0..=self.below(6) {
            let (part, odd) = (self.part(&bytes), *self.of(&ODD));
            let other = self.of(seeds);
            let with = match self.below(6) {
                0 => odd.to_vec(),
                1 => vec![self.below(256) as u8],
                2 => other[self.part(other)].to_vec(),
                3 => bytes[part.clone()].repeat(self.below(4)),
                4 => odd.repeat(self.below(300)),
                _ => Vec::new(),
            };
            let end = if self.below(2) == 0 { part.start } else { part.end };
            bytes.splice(part.start..end, with);
            bytes.truncate(LONGEST);
        }
        bytes
    }
}

/// How long each is tried, and where chance begins: here always at the same place.
fn extent() -> (Duration, u64) {
    match env::var("PGVIGIL_FUZZ_SECONDS") {
        Ok(seconds) => {
            let now = UNIX_EPOCH.elapsed().map_or(0, |since| since.subsec_nanos());
            (Duration::from_secs(seconds.parse().expect("PGVIGIL_FUZZ_SECONDS is a number")), now.into())
        }
        Err(_) => (Duration::from_secs(1), 1),
    }
}

#[test]
fn what_was_found_is_fixed() {
    for (name, target, _) in TARGETS {
        files(&Path::new("fuzz/found").join(name), "").iter().for_each(|bytes| target(bytes));
    }
}

#[test]
fn no_bytes_are_too_odd() {
    let (limit, seed) = extent();
    thread::scope(|scope| {
        for (name, target, seeds) in TARGETS {
            scope.spawn(move || {
                let seeds: Vec<_> = seeds.iter().flat_map(|(place, end)| files(place.as_ref(), end)).collect();
                assert!(!seeds.is_empty(), "{name} has no examples");
                seeds.iter().for_each(|bytes| target(bytes));
                let (mut chance, began, mut tried) = (Chance(seed), Instant::now(), 0);
                while began.elapsed() < limit {
                    let bytes = chance.input(&seeds);
                    if catch_unwind(|| target(&bytes)).is_err() {
                        let file = env::temp_dir().join(format!("pgvigil-fuzz-{name}"));
                        fs::write(&file, &bytes).expect("writing what was found");
                        panic!(
                            "{name}: what it stumbled over is in {}; it belongs into fuzz/found/{name}/",
                            file.display()
                        );
                    }
                    tried += 1;
                }
                println!("{name}: {tried} inputs from {} examples", seeds.len());
            });
        }
    });
}
