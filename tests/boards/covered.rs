//! The other way round: what we measure and no other exporter does is on a board or in a rule, or it is said why not.

use std::{collections::BTreeSet, fs};

use pgvigil::collector::catalogue::Catalogue;

use super::files::{self, text};
use crate::{
    rules::{self, known, used::Used},
    support::yaml,
};

/// Metrics that stand nowhere, by the reason.
const REASONS: &str = "tests/boards/unseen.yaml";

#[test]
fn what_only_we_measure_is_seen() {
    let catalogue = Catalogue::load(None).unwrap_or_else(|problems| panic!("{problems}"));
    let (theirs, samples, reasons) = (ecosystem(), samples(), reasons());
    let metrics = catalogue.collectors.iter().flat_map(|collector| &collector.queries).flat_map(|query| &query.metrics);
    let (mut unseen, mut stale) = (Vec::new(), reasons.clone());
    for metric in metrics {
        let def = &metric.def;
        let is_seen = samples.iter().any(|sample| known::is_of(metric, sample));
        let is_ours = def.name.starts_with("pgvigil_") || !theirs.iter().any(|name| is_theirs(name, &def.name));
        let has_reason = reasons.contains(&def.name);
        if is_ours && !is_seen && !has_reason {
            unseen.push(def.name.clone());
        }
        if has_reason && !is_seen {
            stale.remove(&def.name);
        }
    }
    assert!(unseen.is_empty(), "on no board and in no rule:\n{}", unseen.join("\n"));
    assert!(stale.is_empty(), "{REASONS}: seen after all, or no metric of ours: {stale:?}");
}

/// `*` at the end of a name stands for any rest.
fn is_theirs(name: &str, ours: &str) -> bool {
    name.strip_suffix('*').map_or(name == ours, |stem| ours.starts_with(stem))
}

/// The names that other exporters have.
fn ecosystem() -> BTreeSet<String> {
    let text = fs::read_to_string("docs/ecosystem/metrics.tsv").expect("the metrics of other exporters");
    text.lines().skip(1).filter_map(|line| Some(line.split('\t').nth(1)?.to_owned())).collect()
}

/// The samples that boards and rules speak of.
fn samples() -> BTreeSet<String> {
    let mut exprs: Vec<String> = rules::files::rules().into_iter().map(|rule| rule.expr).collect();
    for dashboard in files::dashboards() {
        exprs.extend(dashboard.expressions().iter().map(|(_, expr)| files::chosen(&dashboard, expr)));
        let choices = dashboard.variables().map(|v| files::chosen(&dashboard, text(&v["definition"])));
        exprs.extend(choices.filter_map(|query| Some(files::label_values(&query)?.0.to_owned())));
    }
    exprs.iter().flat_map(|expr| Used::by(expr).selectors).filter_map(|selector| selector.name).collect()
}

fn reasons() -> BTreeSet<String> {
    let tree = yaml::parse(&fs::read_to_string(REASONS).expect("the reasons")).expect("YAML");
    let entries = tree.as_array().expect("a list");
    let names = entries.iter().flat_map(|entry| {
        assert!(text(&entry["because"]).len() > 20, "{entry} lacks its reason");
        files::items(&entry["metrics"])
    });
    names.map(|name| text(name).to_owned()).collect()
}
