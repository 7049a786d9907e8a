//! tests/rules/live.yaml says of the alerts what the rounds make true.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{files, table},
    round::rounds,
};

/// Of an alert that fires at the shipped threshold; and of one that needs a lower one to fire within seconds.
const YES: &str = "yes";
const LOWERED: &str = "yes, at a threshold of the test";
/// Of one that Alertmanager has, but that another mutes.
const MUTED: &str = "yes, muted by another";

#[test]
fn live_says_what_the_rounds_show() {
    let mut covered: BTreeMap<String, &str> = BTreeMap::from([("Watchdog".to_owned(), YES)]);
    for round in rounds() {
        let changed: BTreeSet<_> =
            round.thresholds.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        for scene in &round.scenes {
            for labels in scene.faults.iter().flat_map(|fault| &fault.fires) {
                let alert = &labels["alertname"];
                let said = if thresholds(alert).is_disjoint(&changed) { YES } else { LOWERED };
                // At the shipped one in any round is better, and either is better than muted.
                covered.entry(alert.clone()).and_modify(|is| *is = if *is == YES { YES } else { said }).or_insert(said);
            }
            for labels in &scene.muted {
                covered.entry(labels["alertname"].clone()).or_insert(MUTED);
            }
        }
    }
    let live = table::live();
    let mut wrong: Vec<String> = Vec::new();
    for (alert, said) in &covered {
        if live.get(alert).map(String::as_str) != Some(said) {
            wrong.push(format!("{alert}: \"{said}\""));
        }
    }
    let claimed = live.iter().filter(|(alert, said)| said.starts_with(YES) && !covered.contains_key(*alert));
    wrong.extend(claimed.map(|(alert, _)| format!("{alert}: no round makes it fire")));
    assert!(wrong.is_empty(), "tests/rules/live.yaml should say\n{}", wrong.join("\n"));
}

/// The thresholds that an alert compares with.
fn thresholds(alert: &str) -> BTreeSet<String> {
    let rules = files::rules();
    let of_this = rules.iter().filter(|rule| rule.alert.as_deref() == Some(alert));
    of_this.flat_map(|rule| table::compared(&rule.expr)).map(|(.., name)| name.to_owned()).collect()
}
