//! Counters in the shapes that src/ uses, with known results, so that a wrong compiler shows itself. `check-compiler` compiles and runs
//! this.

use std::{hint::black_box, process::ExitCode};

/// As src/circuit_breaker.rs has it: whether it was closed is counted, branched on and returned.
#[derive(Default)]
struct CircuitBreaker {
    failures: u32,
    opened: Option<u64>,
    trips: u64,
}

impl CircuitBreaker {
    fn record_failure(&mut self, now: u64) -> bool {
        self.failures = self.failures.saturating_add(1);
        if self.failures < 5 {
            return false;
        }
        let tripped = self.opened.replace(now).is_none();
        if tripped {
            self.trips += 1;
        }
        tripped
    }
}

/// As src/probe/stats.rs has it: by how something ended, which is branched on afterwards.
#[derive(Default)]
struct Attempts {
    due: u64,
    successes: u64,
    failures: [u64; 3],
}

#[derive(Clone, Copy, PartialEq)]
enum Reason {
    Timeout,
    Lost,
    Refused,
}

impl Attempts {
    fn count(&mut self, outcome: Result<(), Reason>) -> bool {
        self.due += 1;
        if outcome.is_ok() {
            self.successes += 1;
        }
        match outcome {
            Ok(()) => true,
            Err(reason) => {
                self.failures[reason as usize] += 1;
                reason == Reason::Timeout
            }
        }
    }
}

/// As src/cli/check/lines.rs and src/source/backup/json.rs have it: a text, a value that is not there.
fn odd<'a>(odd: &mut u64, state: &str, value: Option<&'a str>) -> Option<&'a str> {
    if state == "FAILED" {
        *odd += 1;
    }
    if value.is_none() {
        *odd += 1;
    }
    value
}

/// As src/scrape/slot and src/exposition have it: the loop that keeps some of a list counts what it leaves out.
fn kept(numbers: &[i64], limit: i64) -> (u64, i64) {
    let (mut cut, mut sum) = (0, 0);
    for number in numbers {
        let is_over = *number == limit;
        if is_over {
            cut += 1;
        }
        if !is_over {
            sum += number;
        }
    }
    (cut, sum)
}

fn main() -> ExitCode {
    let mut breaker = CircuitBreaker::default();
    let mut tripped = 0;
    for now in 0..black_box(12) {
        if breaker.record_failure(now) {
            tripped += 1;
        }
    }
    let mut attempts = Attempts::default();
    let outcomes = [Ok(()), Err(Reason::Timeout), Err(Reason::Lost), Ok(()), Err(Reason::Refused), Ok(())];
    let notable = black_box(outcomes).into_iter().filter(|outcome| attempts.count(*outcome)).count();
    let mut count = 0;
    let values = [("FAILED", None), ("on", Some("x")), ("FAILED", Some("y")), ("off", None)];
    let present = black_box(values).into_iter().filter_map(|(state, value)| odd(&mut count, state, value)).count();
    let found = [
        (tripped, 1),
        (breaker.trips as usize, 1),
        (notable, 4),
        (attempts.due as usize, 6),
        (attempts.successes as usize, 3),
        (attempts.failures.iter().sum::<u64>() as usize, 3),
        (count as usize, 4),
        (present, 2),
        (kept(&black_box([1, 7, 2, 7]), black_box(7)).0 as usize, 2),
        (kept(&black_box([1, 7, 2, 7]), black_box(7)).1 as usize, 3),
    ];
    for (at, (is, should_be)) in found.iter().enumerate().filter(|(_, (is, should_be))| is != should_be) {
        eprintln!("number {at} is {is}, and should be {should_be}");
    }
    if found.iter().all(|(is, should_be)| is == should_be) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
