//! The lines that `check --connect` prints for a target.

use std::fmt::Write;
use std::time::Duration;

use humantime::format_duration;
use tokio::time::Instant;

use crate::probe::debug_round::DebugRound;
use crate::scrape::target::Target;
use crate::scrape::target::report::{CollectorReport, DatabaseReport};
use crate::source::fetch::{FetchError, Reason};
use crate::source::remedy::{Remedy, quoted};
use crate::source::sections::SourceProblem;
use crate::truncate;

/// Databases beyond this many are counted, not named.
const MOST_NAMED: usize = 10;

/// A target's lines, and how many of them report a failure. A collector that is off is not a failure.
#[derive(Default)]
pub struct CheckReport {
    pub text: String,
    pub failed: usize,
}

/// It was fetched without an error.
pub fn is_well(report: &DatabaseReport) -> bool {
    report.status.attempt.is_some() && report.status.errors.is_empty()
}

impl CheckReport {
    /// Describes the target. False if it is down, and has no further lines.
    pub fn head(&mut self, target: &Target, began: Instant) -> bool {
        let report = target.status(began);
        let user = target.settings.user();
        self.text = format!("\n{}: ", target.name());
        if let Some(error) = report.error {
            _ = writeln!(self.text, "down: {error}{}", clause(error.remedy.as_deref(), user));
            self.failed += 1;
            return false;
        }
        _ = writeln!(self.text, "{}", truncate::message(&target.source.description()));
        if report.status.monitor == Some(false) {
            _ = writeln!(
                self.text,
                "  note       role {user} is not a member of pg_monitor and sees little of others' sessions and \
                 statements{}",
                clause(Some(&Remedy::grant("pg_monitor")), user)
            );
        }
        true
    }

    /// A database that is skipped, and why.
    pub fn closed(&mut self, database: &str, reason: &str, user: &str) {
        let why = match reason {
            "privilege" => Remedy::grant(format!("CONNECT ON DATABASE {}", quoted(database))).text(user),
            "not_allowed" => "it allows no connections (ALLOW_CONNECTIONS false)".to_owned(),
            "connection_limit" => "its CONNECTION LIMIT is 0".to_owned(),
            "invalid" => "a DROP DATABASE of it was interrupted; run it again".to_owned(),
            "encoding" => "its name is not UTF-8, so pgvigil cannot name it at login".to_owned(),
            _ => "it refused a login (see above); it is tried again every 5 minutes".to_owned(),
        };
        let line = format!("  off        database {database} is skipped: {why} ({reason})");
        _ = writeln!(self.text, "{}", truncate::message(&line));
    }

    /// A round over one path of a probe.
    pub fn path(&mut self, round: &DebugRound) {
        for line in round.text(false).lines() {
            _ = writeln!(self.text, "  {line}");
        }
        self.failed += round.attempts.iter().filter(|attempt| attempt.failure.is_some()).count();
    }

    /// One collector: databases with the same outcome share a line.
    pub fn collector(&mut self, report: &CollectorReport, is_on: bool, wait: Duration, user: &str) {
        let (name, reports) = (report.collector.as_str(), &report.databases);
        if reports.is_empty() {
            return self.line("off", name, &[], "there is no database to run it in");
        }
        let well: Vec<_> = reports.iter().filter(|report| is_well(report)).collect();
        if !well.is_empty() {
            let rows: usize = well.iter().map(|report| report.status.rows).sum();
            let databases: Vec<_> = well.iter().filter_map(|report| report.database.as_deref()).collect();
            self.line("on", name, &databases, &format!("{rows} rows"));
        }
        let unanswered: Vec<_> = reports.iter().filter(|report| report.status.attempt.is_none()).collect();
        if !unanswered.is_empty() {
            let databases: Vec<_> = unanswered.iter().filter_map(|report| report.database.as_deref()).collect();
            self.line("FAILED", name, &databases, &format!("no answer within {}", format_duration(wait)));
        }
        for (error, databases) in by_error(reports) {
            // For a scrape an undefined object is merely absent; for the author of the SQL it is a mistake, unless
            // another target or database has it.
            let fails = !error.reason.is_skip() || error.reason == Reason::Undefined && !is_on;
            let what = format!("{error}{}", clause(error.remedy.as_deref(), user));
            self.line(if fails { "FAILED" } else { "off" }, name, &databases, &what);
        }
    }

    /// A problem that the rows of a collector report.
    pub fn problem(&mut self, problem: &SourceProblem, user: &str) {
        self.failed += 1;
        _ = writeln!(self.text, "  FAILED     {}{}", problem.message, clause(problem.remedy.as_ref(), user));
    }

    fn line(&mut self, state: &str, name: &str, databases: &[&str], what: &str) {
        if state == "FAILED" {
            self.failed += 1;
        }
        let places = truncate::message(&places(databases));
        _ = writeln!(self.text, "  {state:<10} {name}{places}: {what}");
    }
}

/// A remedy at the end of a sentence.
fn clause(remedy: Option<&Remedy>, user: &str) -> String {
    remedy.map_or(String::new(), |remedy| format!("; {}", remedy.text(user)))
}

/// The errors in the order of the reports, each with its databases.
fn by_error(reports: &[DatabaseReport]) -> Vec<(&FetchError, Vec<&str>)> {
    let mut found: Vec<(&FetchError, Vec<&str>)> = Vec::new();
    for DatabaseReport { database, status } in reports.iter().filter(|report| report.status.attempt.is_some()) {
        for error in &status.errors {
            match found.iter_mut().find(|(other, _)| *other == error) {
                Some((_, databases)) => databases.extend(database.as_deref()),
                None => found.push((error, database.as_deref().into_iter().collect())),
            }
        }
    }
    found
}

fn places(databases: &[&str]) -> String {
    let (named, more) = databases.split_at(databases.len().min(MOST_NAMED));
    match (named, more) {
        ([], _) => String::new(),
        (_, []) => format!(" in {}", named.join(", ")),
        _ => format!(" in {} and {} more", named.join(", "), more.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collector::Collector;
    use crate::collector::catalogue::Catalogue;
    use crate::scrape::slot::Slot;

    #[test]
    fn what_never_answered_has_failed() {
        let collector = Collector::clone(&Catalogue::load(None).unwrap().collectors[0]);
        let never = Slot::new(collector.into()).status(Instant::now());
        let mut lines = CheckReport::default();
        let report = |database: &str| DatabaseReport { database: Some(database.to_owned()), status: never.clone() };
        let report = CollectorReport { collector: "x".to_owned(), databases: ["a", "b"].map(report).into() };
        lines.collector(&report, false, Duration::from_secs(90), "me");
        assert_eq!((lines.text.as_str(), lines.failed), ("  FAILED     x in a, b: no answer within 1m 30s\n", 1));
    }
}
