//! Where alerts lead: to the board that an alert's rule names as `dashboard_url`, and there to its target.

use std::collections::BTreeMap;

use pgvigil::schema::problem::Problems;
use pgvigil::schema::yaml;
use pgvigil::schema::yaml::Node;
use pgvigil::shipped::alert_rules;

/// The parameter of a rule's link that holds the alert's target.
const TARGET: &str = "={{ $labels.target }}";

/// The alerts that lead to each board, and those that choose their target by each of the boards' variables: by the label that says so, `board`
/// or `variable`, and its value.
#[derive(Default)]
pub struct Leads(BTreeMap<(&'static str, String), Vec<String>>);

impl Leads {
    /// Of the shipped rules.
    pub fn shipped(problems: &mut Problems) -> Leads {
        let mut leads = Leads::default();
        for (name, text) in alert_rules::files() {
            let root = yaml::parse(name, text, problems);
            let groups = root.as_ref().and_then(|root| root.get("groups")).map_or(&[][..], Node::items);
            let rules = groups.iter().filter_map(|group| group.get("rules")).flat_map(Node::items);
            rules.for_each(|rule| leads.add(rule));
        }
        leads
    }

    /// An alert of several severities has several rules.
    fn add(&mut self, rule: &Node) {
        let alert = rule.get("alert").and_then(Node::text);
        let url = rule.get("annotations").and_then(|all| all.get("dashboard_url")).and_then(Node::text);
        let Some((alert, url)) = alert.zip(url.and_then(|url| url.strip_prefix("/d/"))) else { return };
        let (uid, query) = url.split_once('?').unwrap_or((url, ""));
        let variable = query.split('&').find_map(|part| part.strip_suffix(TARGET));
        for (label, value) in [("board", Some(uid)), ("variable", variable)] {
            let Some(value) = value else { continue };
            let alerts = self.0.entry((label, value.to_owned())).or_default();
            if !alerts.iter().any(|known| known == alert) {
                alerts.push(alert.to_owned());
            }
        }
    }

    /// The alerts of an expression by these labels, of which some are not theirs: `about` (all that `objects` name), `board` and
    /// `variable`.
    pub fn put(&self, expr: &str, objects: &[String], by: &[String]) -> String {
        let objects: Vec<_> = objects.iter().map(|label| format!("\"{label}\"")).collect();
        let joined = format!("label_join({expr}, \"about\", \" \", {})", objects.join(", "));
        let wanted = self.0.iter().filter(|((label, _), _)| by.iter().any(|by| by == label));
        let expr = wanted.fold(joined, |expr, ((label, value), alerts)| {
            format!("label_replace({expr}, \"{label}\", \"{value}\", \"alertname\", \"{}\")", alerts.join("|"))
        });
        format!("max by ({}) ({expr})", by.join(", "))
    }
}
