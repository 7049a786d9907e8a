//! The summary of `check --connect`: a line for each target, and what its owner can turn on.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::cli::run::counted;
use crate::scrape::target::report::CollectorReport;
use crate::source::fetch::{FetchError, Reason};
use crate::source::remedy::Remedy;

/// What a collector is, on one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CollectorState {
    On,
    Failed,
    /// Off, for its version or its role; nothing is to be done.
    Version,
    Role,
    /// Off, and something can be done about it.
    CanBeOn,
    Off,
}

/// What a target's lines come to.
#[derive(Default)]
pub struct TargetSummary {
    /// Why the target is down; then there is nothing else to say.
    pub down: Option<String>,
    states: BTreeMap<CollectorState, usize>,
    /// Collectors that are on, and lack some of their queries for a reason that can be fixed.
    incomplete: usize,
    /// What to run or change, in the order found, and in which databases.
    remedies: Vec<(String, Vec<String>)>,
    pub dropping: usize,
    pub closed: usize,
    /// Failures beside those of collectors: paths of a probe, problems that rows report.
    pub other_failures: usize,
}

impl TargetSummary {
    pub fn add(&mut self, state: CollectorState, report: &CollectorReport, user: &str) {
        *self.states.entry(state).or_default() += 1;
        let errors = report.databases.iter().flat_map(|database| &database.status.errors);
        let remedies: Vec<_> = errors.filter(|error| is_option(error)).filter_map(|e| e.remedy.as_deref()).collect();
        if state == CollectorState::On && !remedies.is_empty() {
            self.incomplete += 1;
        }
        remedies.into_iter().for_each(|remedy| self.add_remedy(remedy, user));
    }

    /// The same statement in several databases is listed once.
    fn add_remedy(&mut self, remedy: &Remedy, user: &str) {
        let (text, database) = match remedy {
            Remedy::InDatabase { statement, database } => (format!("run {statement}"), Some(database)),
            remedy => (remedy.text(user), None),
        };
        let known = self.remedies.iter().position(|(other, _)| *other == text);
        let index = known.unwrap_or_else(|| {
            self.remedies.push((text, Vec::new()));
            self.remedies.len() - 1
        });
        let databases = &mut self.remedies[index].1;
        databases.extend(database.filter(|database| !databases.contains(database)).cloned());
    }

    /// Its line, and lines below it if there is more than one thing to do.
    pub fn text(&self, name: &str) -> String {
        if let Some(down) = &self.down {
            return format!("  {name}: {down}\n");
        }
        let count = |state| self.states.get(&state).copied().unwrap_or_default();
        let total: usize = self.states.values().sum();
        let mut parts = vec![format!("{} of {} on", count(CollectorState::On), counted(total, "collector"))];
        let mut add = |number: usize, text: String| parts.extend((number > 0).then_some(text));
        let failed = count(CollectorState::Failed) + self.other_failures;
        add(failed, format!("{failed} FAILED"));
        add(self.dropping, format!("rows of {} are dropped", counted(self.dropping, "collector")));
        add(self.closed, format!("{} skipped", counted(self.closed, "database")));
        let (version, role) = (count(CollectorState::Version), count(CollectorState::Role));
        add(version, format!("{version} not on this version"));
        add(role, format!("{role} not in this role"));
        add(count(CollectorState::Off), format!("{} off", count(CollectorState::Off)));
        let can_be = count(CollectorState::CanBeOn);
        add(can_be, format!("{can_be} you can turn on"));
        add(self.incomplete, format!("{} you can complete", self.incomplete));
        format!("  {name}: {}{}\n", parts.join("; "), self.to_do())
    }

    /// The remedies: one on the same line, several below it.
    fn to_do(&self) -> String {
        let line = |(text, databases): &(String, Vec<String>)| match databases.as_slice() {
            [] => text.clone(),
            [one] => format!("{text} in database {one}"),
            several => format!("{text} in databases {}", several.join(", ")),
        };
        if let [one] = self.remedies.as_slice() {
            return format!(": {}", line(one));
        }
        let mut text = String::new();
        for remedy in &self.remedies {
            _ = write!(text, "\n    {}", line(remedy));
        }
        text
    }
}

/// It is off by a choice of the server's owner, who may decide otherwise.
pub fn is_option(error: &FetchError) -> bool {
    error.reason.is_skip() && !matches!(error.reason, Reason::Version | Reason::Role)
}

/// What is expected of many servers, and only of interest to whoever asks for it.
pub fn is_expected(error: &FetchError) -> bool {
    matches!(error.reason, Reason::Version | Reason::Role | Reason::Extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thing_to_do_is_on_the_line_and_several_are_below() {
        let states = [(CollectorState::On, 26), (CollectorState::Version, 2), (CollectorState::CanBeOn, 1)].into();
        let mut summary = TargetSummary { states, ..TargetSummary::default() };
        let extension = |name: &str, database: &str| Remedy::InDatabase {
            statement: format!("CREATE EXTENSION {name};"),
            database: database.to_owned(),
        };
        summary.add_remedy(&extension("a", "shop"), "me");
        let line = "  orders: 26 of 29 collectors on; 2 not on this version; 1 you can turn on";
        assert_eq!(summary.text("orders"), format!("{line}: run CREATE EXTENSION a; in database shop\n"));
        summary.add_remedy(&extension("a", "app"), "me");
        summary.add_remedy(&extension("a", "app"), "me");
        summary.add_remedy(&Remedy::grant("pg_monitor"), "me");
        let lines = "\n    run CREATE EXTENSION a; in databases shop, app\n    run GRANT pg_monitor TO \"me\";\n";
        assert_eq!(summary.text("orders"), format!("{line}{lines}"));
        summary.down = Some("down: lost".to_owned());
        assert_eq!(summary.text("orders"), "  orders: down: lost\n");
    }
}
