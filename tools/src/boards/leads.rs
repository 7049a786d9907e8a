//! Where alerts lead: to the board that an alert's rule names as `dashboard_url`, and there to its target.

use std::collections::BTreeMap;

use pgvigil::schema::problem::Problems;
use pgvigil::schema::yaml;
use pgvigil::schema::yaml::{Node, NodeValue};
use pgvigil::shipped::alert_rules;

/// The parameter of a rule's link that holds the alert's target.
const TARGET: &str = "={{ $labels.target }}";

/// The alerts that lead to each board, and those that choose their target by each of the boards' variables.
#[derive(Default)]
pub struct Leads {
    boards: BTreeMap<String, Vec<String>>,
    variables: BTreeMap<String, Vec<String>>,
}

impl Leads {
    /// Of the shipped rules.
    pub fn shipped(problems: &mut Problems) -> Leads {
        let mut leads = Leads::default();
        for (name, text) in alert_rules::files() {
            let root = yaml::parse(name, text, problems);
            let groups = items(root.as_ref().and_then(|root| root.get("groups")));
            groups.iter().flat_map(|group| items(group.get("rules"))).for_each(|rule| leads.add(rule));
        }
        leads
    }

    fn add(&mut self, rule: &Node) {
        let alert = rule.get("alert").and_then(Node::text);
        let url = rule.get("annotations").and_then(|all| all.get("dashboard_url")).and_then(Node::text);
        let Some((alert, url)) = alert.zip(url.and_then(|url| url.strip_prefix("/d/"))) else { return };
        let (uid, query) = url.split_once('?').unwrap_or((url, ""));
        let variable = query.split('&').find_map(|part| part.strip_suffix(TARGET));
        note(&mut self.boards, uid, alert);
        variable.into_iter().for_each(|variable| note(&mut self.variables, variable, alert));
    }

    /// The alerts of an expression by these labels, of which some are not theirs: `about` (all that `objects` name), `board` and
    /// `variable`.
    pub fn put(&self, expr: &str, objects: &[String], by: &[String]) -> String {
        let objects: Vec<_> = objects.iter().map(|label| format!("\"{label}\"")).collect();
        let joined = format!("label_join({expr}, \"about\", \" \", {})", objects.join(", "));
        let led = [("board", &self.boards), ("variable", &self.variables)].into_iter();
        let wanted = led.filter(|(label, _)| by.iter().any(|by| by == label));
        let expr = wanted.fold(joined, |expr, (label, keys)| replaced(expr, label, keys));
        format!("max by ({}) ({expr})", by.join(", "))
    }
}

/// The expression with a label that says of each alert which of the keys it belongs to.
fn replaced(expr: String, label: &str, keys: &BTreeMap<String, Vec<String>>) -> String {
    keys.iter().fold(expr, |expr, (key, alerts)| {
        format!("label_replace({expr}, \"{label}\", \"{key}\", \"alertname\", \"{}\")", alerts.join("|"))
    })
}

/// An alert of several severities has several rules.
fn note(keys: &mut BTreeMap<String, Vec<String>>, key: &str, alert: &str) {
    let alerts = keys.entry(key.to_owned()).or_default();
    if !alerts.iter().any(|known| known == alert) {
        alerts.push(alert.to_owned());
    }
}

fn items(node: Option<&Node>) -> &[Node] {
    match node.map(|node| &node.value) {
        Some(NodeValue::List(items)) => items,
        _ => &[],
    }
}
