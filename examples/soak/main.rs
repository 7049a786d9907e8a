//! Scrapes for an hour or more while all that is watched is broken at random, and at the end what has grown, what was not up
//! again, what fell that only rises: `make soak`, `make soak MINUTES=10`.

// It waits for real processes, on a thread of its own.
#![allow(clippy::disallowed_methods)]

mod faults;
mod stack;
#[path = "../../tests/support/mod.rs"]
mod support;
mod watch;

use std::{
    path::PathBuf,
    process::ExitCode,
    thread::sleep,
    time::{Duration, Instant},
};

use clap::Parser;
use faults::{FAULTS, Fault};
use stack::Stack;
use support::template;
use watch::Watch;

/// Scrapes between the end of a fault and the next.
const PAUSE: u64 = 12;

/// Scrapes while a fault lasts.
const LASTS: u64 = 4;

/// Scrapes for long, with faults at random.
#[derive(Parser)]
pub struct Arguments {
    /// How long
    #[arg(long, default_value_t = 60, env = "MINUTES")]
    minutes: u64,
    /// How many scrapes in that time, if the machine can
    #[arg(long, default_value_t = 2000)]
    scrapes: u64,
    /// Tables with three indexes each, in one database
    #[arg(long, default_value_t = 20_000)]
    tables: usize,
    /// Entries of pg_stat_statements
    #[arg(long, default_value_t = 20_000)]
    statements: usize,
    /// Databases beside that one
    #[arg(long, default_value_t = 60)]
    databases: usize,
    /// Which faults, and when: the same for the same number
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The program
    #[arg(long, default_value = "target/release/pgvigil")]
    pgvigil: PathBuf,
}

fn main() -> ExitCode {
    let mut arguments = Arguments::parse();
    arguments.pgvigil = arguments.pgvigil.canonicalize().expect("the program, built: make soak");
    let wrong = soak(&arguments);
    template::clear();
    wrong.iter().for_each(|wrong| eprintln!("WRONG: {wrong}"));
    if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What is wrong at the end.
fn soak(arguments: &Arguments) -> Vec<String> {
    let began = Instant::now();
    let mut stack = Stack::start(arguments);
    println!("{:6.0} s  everything is there", began.elapsed().as_secs_f64());
    let mut watch = Watch::new(&stack);
    let mut chance = Chance(arguments.seed);
    let pace =
        Duration::from_secs(arguments.minutes * 60) / u32::try_from(arguments.scrapes).unwrap_or(u32::MAX).max(1);
    let (began, mut turn) = (Instant::now(), 0);
    while began.elapsed() < Duration::from_secs(arguments.minutes * 60) {
        quiet(&mut watch, &stack, PAUSE + chance.below(PAUSE), pace);
        let fault = &FAULTS[order(&mut chance, &mut turn)];
        suffer(&mut watch, &mut stack, fault, pace);
        let seconds = began.elapsed().as_secs_f64();
        println!("{seconds:6.0} s  {} scrapes, {}; {}", watch.scrapes(), fault.name, watch.line());
    }
    quiet(&mut watch, &stack, PAUSE, pace);
    println!("\n{}", watch.summary(arguments, began.elapsed()));
    watch.wrong(&stack)
}

/// Each fault once, and then any.
fn order(chance: &mut Chance, turn: &mut usize) -> usize {
    *turn += 1;
    if *turn <= FAULTS.len() { *turn - 1 } else { chance.below(FAULTS.len() as u64) as usize }
}

fn quiet(watch: &mut Watch, stack: &Stack, scrapes: u64, pace: Duration) {
    stack.work();
    for _ in 0..scrapes {
        let began = Instant::now();
        watch.scrape(stack, &[]);
        sleep(pace.saturating_sub(began.elapsed()));
    }
}

/// While it lasts others are up, and the first scrape after it finds everything up.
fn suffer(watch: &mut Watch, stack: &mut Stack, fault: &Fault, pace: Duration) {
    let broken = fault.begin(stack);
    watch.forget(fault.resets);
    for _ in 0..LASTS {
        let began = Instant::now();
        watch.scrape(stack, fault.down);
        sleep(pace.saturating_sub(began.elapsed()));
    }
    drop(broken);
    (fault.mend)(stack);
    watch.forget(fault.resets);
    watch.scrape_after(stack, fault.name);
}

/// Numbers that look like chance, the same for the same seed.
pub struct Chance(u64);

impl Chance {
    /// From 0 to below `limit`.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % limit.max(1)
    }
}
