//! The shipped thresholds, `rules/thresholds.yaml`: what alerts compare with unless a target says otherwise.

use crate::{
    schema::{
        fields::Fields,
        problem::Problems,
        shape::{Is, Shape, key},
        words, yaml,
        yaml::{Node, NodeValue},
    },
    settings::{Endpoint, Threshold, targets::KIND_WORDS},
};

const FILE: &str = "rules/thresholds.yaml";
const TEXT: &str = include_str!("../../rules/thresholds.yaml");

const SEVERITIES: [(&str, &str); 2] = [("warning", "warning"), ("critical", "critical")];

/// What the rules know of: a threshold of any other severity would be compared with nothing.
pub const SEVERITY_WORDS: [&str; 2] = words::of(&SEVERITIES);

/// The same as a form.
pub const SEVERITY: &str = "^(warning|critical)$";

const THRESHOLD: Shape = Shape {
    what: "a threshold",
    needs: &[
        key("name", Is::Form(words::SNAKE), "What is compared."),
        key("severity", Is::Word(&SEVERITY_WORDS), "How bad it is to be beyond."),
        key("kinds", Is::List(1, &Is::Word(&KIND_WORDS)), "The kinds of targets whose alerts compare with it."),
        key("unit", Is::Text, "The unit of the value."),
        key("source", Is::Text, "Where the value comes from."),
    ],
    may: &[key(
        "value",
        Is::Number,
        "What it is compared with. Without it, only targets that set one have this alert.",
    )],
    quiet: false,
};

/// A threshold that shipped rules compare with: what its value means, and why it is that.
#[derive(Clone, Debug, PartialEq)]
pub struct ShippedThreshold {
    pub name: String,
    pub severity: String,
    /// The kinds of targets that have it, as [`Endpoint::kind`] names them.
    pub kinds: Vec<String>,
    /// Without one, the alert is only for targets that set it.
    pub value: Option<f64>,
    pub unit: String,
    /// Where the value comes from.
    pub source: String,
}

/// The shipped thresholds, in the file's order.
///
/// # Errors
/// What is wrong with the file.
pub fn shipped() -> Result<Vec<ShippedThreshold>, Problems> {
    read(FILE, TEXT)
}

fn read(file: &str, text: &str) -> Result<Vec<ShippedThreshold>, Problems> {
    let mut problems = Problems::default();
    let mut all: Vec<ShippedThreshold> = Vec::new();
    match yaml::parse(file, text, &mut problems) {
        Some(Node { value: NodeValue::List(items), .. }) => {
            for item in &items {
                entry(item, &mut all, &mut problems);
            }
        }
        Some(root) => problems.add(&root.place, "the file is a list of thresholds"),
        None => {}
    }
    problems.unless_any(all)
}

/// Adds one entry of the file. `None`: it is broken, and that has been told.
fn entry(node: &Node, all: &mut Vec<ShippedThreshold>, problems: &mut Problems) -> Option<()> {
    let mut fields = Fields::open(node, &THRESHOLD, problems)?;
    let name = fields.checked("name", words::snake);
    let severity = fields.word("severity", &SEVERITIES);
    let kinds = fields.texts("kinds").into_iter().map(|(kind, _)| kind).collect();
    let value = fields.number("value");
    let unit = fields.text("unit");
    let source = fields.text("source");
    let shipped =
        ShippedThreshold { name: name?, severity: severity?.to_owned(), kinds, value, unit: unit?, source: source? };
    if all.iter().any(|other| (&other.name, &other.severity) == (&shipped.name, &shipped.severity)) {
        fields.tell("name", "this name and severity are there twice: keep one");
    }
    all.push(shipped);
    Some(())
}

impl ShippedThreshold {
    /// What a target of this kind compares with. `None`: this is not for its kind, or only for targets that set it.
    fn for_kind(&self, kind: &str) -> Option<Threshold> {
        let value = self.value.filter(|_| self.kinds.iter().any(|own| own == kind))?;
        Some(Threshold { name: self.name.clone(), severity: self.severity.clone(), value })
    }
}

/// All thresholds of a target, by name and severity: those shipped for its kind, replaced and joined by its own.
pub fn merged(shipped: &[ShippedThreshold], endpoint: &Endpoint, own: &[Threshold]) -> Vec<Threshold> {
    let is_own = |shipped: &Threshold| own.iter().any(|o| (&o.name, &o.severity) == (&shipped.name, &shipped.severity));
    let kept = shipped.iter().filter_map(|shipped| shipped.for_kind(endpoint.kind()));
    let mut all: Vec<_> = kept.filter(|shipped| !is_own(shipped)).chain(own.iter().cloned()).collect();
    all.sort_by(|a, b| (&a.name, &a.severity).cmp(&(&b.name, &b.severity)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::repositories::DiskSettings;

    fn threshold(name: &str, value: f64) -> Threshold {
        Threshold { name: name.into(), severity: "warning".into(), value }
    }

    #[test]
    fn the_shipped_file_is_good() {
        assert!(shipped().is_ok_and(|all| !all.is_empty()), "{:?}", shipped());
    }

    #[test]
    fn a_targets_own_replace_and_join() {
        let entry = |name: &str, kind: &str, value: &str| {
            format!("- {{name: {name}, severity: warning, kinds: [{kind}], {value} unit: ratio, source: x}}\n")
        };
        let text = [
            entry("b", "disk", "value: 1,"),
            entry("a", "disk", "value: 1,"),
            entry("other", "redis", "value: 1,"),
            entry("unset", "disk", ""),
        ];
        let shipped = read("file", &text.concat()).unwrap_or_else(|problems| panic!("{problems}"));
        let endpoint = Endpoint::Disk(DiskSettings { paths: Vec::new() });
        let merged = merged(&shipped, &endpoint, &[threshold("b", 2.0), threshold("c", 3.0)]);
        assert_eq!(merged, [threshold("a", 1.0), threshold("b", 2.0), threshold("c", 3.0)]);
    }
}
