//! The lines that `check --connect` prints for a target.

use std::fmt::Write;
use std::time::Duration;

use humantime::format_duration;
use tokio::time::Instant;

use crate::cli::check::summary::{CollectorState, TargetSummary, is_expected, is_option};
use crate::cli::run::counted;
use crate::probe::debug_round::DebugRound;
use crate::scrape::slot::SlotCounts;
use crate::scrape::target::Target;
use crate::scrape::target::report::{CollectorReport, DatabaseReport};
use crate::source::fetch::{FetchError, Reason, SourceStatus};
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
    pub summary: TargetSummary,
    /// Lines that were left out, since they say what is expected.
    pub hidden: usize,
    is_verbose: bool,
}

/// It has results, if only of some of its queries.
pub fn delivers(report: &DatabaseReport) -> bool {
    report.status.attempt.is_some() && (report.status.errors.is_empty() || report.status.age.is_some())
}

impl CheckReport {
    pub fn new(is_verbose: bool) -> Self {
        CheckReport { is_verbose, ..CheckReport::default() }
    }

    /// Describes the target. False if it is down, and has no further lines.
    pub fn head(&mut self, target: &Target, began: Instant) -> bool {
        let report = target.status(began);
        let user = target.settings.user();
        self.text = format!("\n{}: ", target.name());
        if let Some(error) = report.error {
            let address = target.settings.address().filter(|address| !error.message.contains(address));
            let place = address.map_or(String::new(), |address| format!(" at {address}"));
            let down = format!("down: {error}{place}{}", clause(error.remedy.as_deref(), user));
            _ = writeln!(self.text, "{down}");
            self.summary.down = Some(down);
            self.failed += 1;
            return false;
        }
        _ = writeln!(self.text, "{}", truncate::message(&target.source.description()));
        self.note_rights(&report.status, user);
        true
    }

    /// What the role may do is too little or too much.
    fn note_rights(&mut self, status: &SourceStatus, user: &str) {
        if status.superuser == Some(true) {
            self.note(&format!(
                "role {user} is a superuser, and pgvigil needs far less: make the role of `pgvigil export grants`"
            ));
        } else if status.monitor == Some(false) {
            self.note(&format!(
                "role {user} is not a member of pg_monitor and sees little of others' sessions and statements{}",
                clause(Some(&Remedy::grant("pg_monitor")), user)
            ));
        }
    }

    fn note(&mut self, what: &str) {
        _ = writeln!(self.text, "  note       {what}");
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
        self.summary.closed += 1;
        let line = format!("  off        database {database} is skipped: {why} ({reason})");
        _ = writeln!(self.text, "{}", truncate::message(&line));
    }

    /// A round over one path of a probe.
    pub fn path(&mut self, round: &DebugRound) {
        for line in round.text(false).lines() {
            _ = writeln!(self.text, "  {line}");
        }
        let failed = round.attempts.iter().filter(|attempt| attempt.failure.is_some()).count();
        self.failed += failed;
        self.summary.other_failures += failed;
    }

    /// One collector: databases with the same outcome share a line.
    pub fn collector(&mut self, report: &CollectorReport, is_on: bool, wait: Duration, user: &str) {
        let (name, reports) = (report.collector.as_str(), &report.databases);
        let failed_before = self.failed;
        if reports.is_empty() {
            self.line("off", name, &[], "there is no database to run it in");
        }
        let well: Vec<_> = reports.iter().filter(|report| delivers(report)).collect();
        if !well.is_empty() {
            let rows: usize = well.iter().map(|report| report.status.rows).sum();
            let databases: Vec<_> = well.iter().filter_map(|report| report.database.as_deref()).collect();
            self.line("on", name, &databases, &counted(rows, "row"));
        }
        let unanswered: Vec<_> = reports.iter().filter(|report| report.status.attempt.is_none()).collect();
        if !unanswered.is_empty() {
            let databases: Vec<_> = unanswered.iter().filter_map(|report| report.database.as_deref()).collect();
            self.line("FAILED", name, &databases, &format!("no answer within {}", format_duration(wait)));
        }
        for (error, of) in by_error(reports) {
            self.error(name, error, &of, is_on, user);
        }
        self.dropped(name, reports);
        let state = if self.failed > failed_before { CollectorState::Failed } else { state(reports) };
        self.summary.add(state, report, user);
    }

    /// Why a collector, or a query of one that is on, gives nothing in these databases.
    fn error(&mut self, name: &str, error: &FetchError, of: &[&DatabaseReport], is_on: bool, user: &str) {
        // For a scrape an undefined object is merely absent; for the author of the SQL it is a mistake, unless
        // another target or database has it.
        let fails = !error.reason.is_skip() || error.reason == Reason::Undefined && !is_on;
        if is_expected(error) && !self.is_verbose {
            self.hidden += 1;
            return;
        }
        let state = match fails {
            true => "FAILED",
            false if of.iter().all(|report| delivers(report)) => "part off",
            false => "off",
        };
        let databases: Vec<_> = of.iter().filter_map(|report| report.database.as_deref()).collect();
        self.line(state, name, &databases, &error.with_advice(user));
    }

    /// Rows and values that are not on the page.
    fn dropped(&mut self, name: &str, reports: &[DatabaseReport]) {
        let sum =
            |count: fn(&SlotCounts) -> u64| reports.iter().map(|report| count(&report.status.counts)).sum::<u64>();
        let rows: usize = reports.iter().map(|report| report.status.rows).sum();
        let (duplicates, invalid) = (sum(|counts| counts.duplicates), sum(|counts| counts.invalid));
        let (cut, texts) = (sum(|counts| counts.cut), sum(|counts| counts.texts));
        let have = if duplicates == 1 { "has" } else { "have" };
        let lines = [
            (duplicates, format!("{duplicates} of {rows} rows {have} the labels of another row: is a label missing?")),
            (invalid, format!("values that are not numbers: {invalid}; cast them, or make them labels")),
            (cut, format!("rows beyond `max_rows` (500 if it is not set): {cut}")),
            (texts, format!("labels that are too long, and cut: {texts}")),
        ];
        let lines: Vec<_> = lines.iter().filter(|(count, _)| *count > 0).collect();
        if !lines.is_empty() {
            self.summary.dropping += 1;
        }
        lines.iter().for_each(|(_, what)| self.line("dropped", name, &[], what));
    }

    /// A problem that the rows of a collector report.
    pub fn problem(&mut self, problem: &SourceProblem, user: &str) {
        self.failed += 1;
        self.summary.other_failures += 1;
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

/// The state of a collector without a failure.
fn state(reports: &[DatabaseReport]) -> CollectorState {
    if reports.iter().any(delivers) {
        return CollectorState::On;
    }
    let errors: Vec<_> = reports.iter().flat_map(|report| &report.status.errors).collect();
    let are = |reason| errors.iter().all(|error| error.reason == reason);
    match () {
        () if errors.is_empty() => CollectorState::Off,
        () if errors.iter().any(|error| is_option(error) && error.remedy.is_some()) => CollectorState::CanBeOn,
        () if are(Reason::Role) => CollectorState::Role,
        () if !errors.iter().any(|error| is_option(error)) => CollectorState::Version,
        () => CollectorState::Off,
    }
}

/// The errors in the order of the reports, each with those that have it.
fn by_error(reports: &[DatabaseReport]) -> Vec<(&FetchError, Vec<&DatabaseReport>)> {
    let mut found: Vec<(&FetchError, Vec<&DatabaseReport>)> = Vec::new();
    for report in reports.iter().filter(|report| report.status.attempt.is_some()) {
        for error in &report.status.errors {
            match found.iter_mut().find(|(other, _)| *other == error) {
                Some((_, of)) => of.push(report),
                None => found.push((error, vec![report])),
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
        assert!(lines.summary.text("t").contains("1 FAILED"));
        assert_eq!((lines.text.as_str(), lines.failed), ("  FAILED     x in a, b: no answer within 1m 30s\n", 1));
    }
}
