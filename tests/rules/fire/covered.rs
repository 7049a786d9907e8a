//! tests/rules/live.yaml says of the alerts what the rounds make true.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    super::{files, table},
    round::rounds,
};

/// Of an alert that fires at the shipped threshold; and of one that needs a lower one to fire within seconds.
const YES: &str = "yes";
const LOWERED: &str = "yes, at a threshold of the test";

#[test]
fn live_says_what_the_rounds_show() {
    let mut covered: BTreeMap<String, &str> = BTreeMap::from([("Watchdog".to_owned(), YES)]);
    for round in rounds() {
        let changed: BTreeSet<_> =
            round.thresholds.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
        for scene in &round.scenes {
            for labels in scene.faults.iter().flat_map(|fault| &fault.fires).chain(&scene.muted) {
                let alert = &labels["alertname"];
                let said = if thresholds(alert).is_disjoint(&changed) { YES } else { LOWERED };
                // At the shipped one in any round is better.
                covered.entry(alert.clone()).and_modify(|is| *is = if said == YES { YES } else { is }).or_insert(said);
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
