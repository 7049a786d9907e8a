//! The shipped thresholds, `rules/thresholds.yaml`: what alerts compare with unless a target says otherwise.

use super::{
    fields::Fields,
    problem::Problems,
    settings::Threshold,
    shape::{Is, Shape, key},
    words,
    yaml::{self, Node, Value},
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
        key("value", Is::Number, "What it is compared with."),
        key("unit", Is::Text, "The unit of the value."),
        key("source", Is::Text, "Where the value comes from."),
    ],
    may: &[],
    quiet: false,
};

/// A shipped threshold, with what its value means and why it is that.
#[derive(Clone, Debug, PartialEq)]
pub struct Shipped {
    pub threshold: Threshold,
    pub unit: String,
    /// Where the value comes from.
    pub source: String,
}

/// The shipped thresholds, in the file's order.
///
/// # Errors
/// What is wrong with the file.
pub fn shipped() -> Result<Vec<Shipped>, Problems> {
    read(FILE, TEXT)
}

fn read(file: &str, text: &str) -> Result<Vec<Shipped>, Problems> {
    let mut problems = Problems::default();
    let mut all: Vec<Shipped> = Vec::new();
    match yaml::parse(file, text, &mut problems) {
        Some(Node { value: Value::List(items), .. }) => {
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
fn entry(node: &Node, all: &mut Vec<Shipped>, problems: &mut Problems) -> Option<()> {
    let mut fields = Fields::open(node, &THRESHOLD, problems)?;
    let name = fields.checked("name", words::snake);
    let severity = fields.word("severity", &SEVERITIES);
    let value = fields.number("value");
    let unit = fields.text("unit");
    let source = fields.text("source");
    let threshold = Threshold { name: name?, severity: severity?.to_owned(), value: value? };
    if all.iter().any(|other| is_same(&other.threshold, &threshold)) {
        fields.tell("name", "this name and severity are there twice: keep one");
    }
    all.push(Shipped { threshold, unit: unit?, source: source? });
    Some(())
}

/// All thresholds of a target, by name and severity: the shipped ones, replaced and joined by its own.
pub fn merged(shipped: &[Shipped], own: &[Threshold]) -> Vec<Threshold> {
    let kept = shipped.iter().map(|s| &s.threshold).filter(|s| !own.iter().any(|o| is_same(o, s)));
    let mut all: Vec<_> = kept.chain(own).cloned().collect();
    all.sort_by(|a, b| (&a.name, &a.severity).cmp(&(&b.name, &b.severity)));
    all
}

fn is_same(a: &Threshold, b: &Threshold) -> bool {
    (&a.name, &a.severity) == (&b.name, &b.severity)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn threshold(name: &str, value: f64) -> Threshold {
        Threshold { name: name.into(), severity: "warning".into(), value }
    }

    #[test]
    fn the_shipped_file_is_good() {
        assert!(shipped().is_ok_and(|all| !all.is_empty()), "{:?}", shipped());
    }

    #[test]
    fn a_targets_own_replace_and_join() {
        let ship = |name, value| Shipped { threshold: threshold(name, value), unit: "".into(), source: "".into() };
        let merged = merged(&[ship("b", 1.0), ship("a", 1.0)], &[threshold("b", 2.0), threshold("c", 3.0)]);
        assert_eq!(merged, [threshold("a", 1.0), threshold("b", 2.0), threshold("c", 3.0)]);
    }
}
