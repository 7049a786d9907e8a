//! Every rule about PostgreSQL servers says for which role it holds, and its expression makes it so: else a replica says again what its primary
//! says, or is told off for what is right for a replica.

use pgvigil::collector::{Collector, Role, catalogue::Catalogue};

use super::{
    files::{self, Rule},
    known::is_of,
    used::Used,
};

#[test]
fn every_rule_holds_for_the_role_it_says() {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let rules = files::rules();
    let wrong: Vec<_> = rules
        .iter()
        .filter_map(|rule| {
            let alert = rule.alert.as_ref()?;
            let what = wrong(&catalogue, &rules, rule)?;
            Some(format!("{} {alert} {}: {what}", rule.file, rule.severity))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// What is wrong with the annotation `role` of a rule, if it needs one.
fn wrong(catalogue: &Catalogue, rules: &[Rule], rule: &Rule) -> Option<String> {
    let said = rule.annotations.iter().find(|(key, _)| key == "role").map(|(_, role)| role.as_str());
    let (expr, collector) = about(catalogue, rules, rule)?;
    let made = made_so(&expr, collector);
    match said {
        None => Some("lacks the annotation `role`: any, primary or replica".to_owned()),
        Some(said) if said == made => None,
        Some(said) => Some(format!("says `role: {said}`, and its expression holds for: {made}")),
    }
}

/// The expression that a rule begins with, its own or what was recorded by it, and the collector of the first metric there; if that is one of
/// PostgreSQL servers.
fn about<'c>(catalogue: &'c Catalogue, rules: &[Rule], rule: &Rule) -> Option<(String, &'c Collector)> {
    let first = |expr: &str| Used::by(expr).selectors.first().and_then(|selector| selector.name.clone());
    let name = first(&rule.expr)?;
    let recorded = rules.iter().find(|rule| rule.record.as_ref() == Some(&name));
    let (expr, name) = match recorded {
        Some(recorded) => (format!("{}\n{}", rule.expr, recorded.expr), first(&recorded.expr)?),
        None => (rule.expr.clone(), name),
    };
    let has = |collector: &Collector| {
        let mut metrics = collector.queries.iter().flat_map(|query| &query.metrics);
        metrics.any(|metric| is_of(metric, &name))
    };
    let collector = catalogue.collectors.iter().find(|collector| has(collector))?;
    collector.source.is_sql().then_some((expr, collector))
}

/// By what it asks, or by what it is joined with.
fn made_so(expr: &str, collector: &Collector) -> &'static str {
    let words: String = expr.split_whitespace().collect();
    let joined = |value: u8| words.contains(&format!("andon(job,instance,target)pg_replication_is_replica=={value}"));
    match collector.role {
        Role::Primary => "primary",
        Role::Replica => "replica",
        Role::Any if joined(0) => "primary",
        Role::Any if joined(1) => "replica",
        Role::Any => "any",
    }
}
