//! The shipped thresholds, `rules/thresholds.yaml`: what alerts compare with unless a target says otherwise.

use strum::VariantNames;

use crate::declare;
use crate::schema::problem::Problems;
use crate::schema::reader::Reader;
use crate::schema::values::{list, map, number, one_of, snake, text, unique};
use crate::schema::yaml;
use crate::settings::targets::{Endpoint, SEVERITIES, Threshold};

const FILE: &str = "rules/thresholds.yaml";
const TEXT: &str = include_str!("../../rules/thresholds.yaml");

declare! {
    /// A threshold that shipped rules compare with: its value, its unit, and the reason for the value.
    #[derive(Clone, Debug, PartialEq)]
    pub struct ShippedThreshold: "a threshold" {
        /// What is compared.
        name: String = snake(),
        /// How bad it is to be beyond.
        severity: String = one_of(&SEVERITIES),
        /// The kinds of targets whose alerts compare with it.
        kinds: Vec<String> = list(one_of(Endpoint::VARIANTS)),
        /// The unit of the value.
        unit: String = text(),
        /// Where the value comes from.
        source: String = text(),
        /// What it is compared with. Without it, only targets that set one have this alert.
        value: Option<f64> = number().optional(),
    }
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
    let root = yaml::parse(file, text, &mut problems);
    let names = |threshold: &ShippedThreshold| vec![format!("{} {}", threshold.name, threshold.severity)];
    let all = unique(map(), "name", names, "this name and severity are there twice: keep one");
    let all = root.and_then(|root| all.read(&root, "the file", &mut Reader::new(&mut problems)));
    problems.unless_any(all.unwrap_or_default())
}

impl ShippedThreshold {
    /// The threshold of a target of this kind. `None`: it is for other kinds, or only for targets that set it.
    fn for_kind(&self, kind: &str) -> Option<Threshold> {
        let value = self.value.filter(|_| self.kinds.iter().any(|own| own == kind))?;
        Some(Threshold { name: self.name.clone(), severity: self.severity.clone(), value })
    }
}

/// The thresholds of a target, sorted by name and severity: those shipped for its kind, except those it replaces, and its own.
pub fn merged(shipped: &[ShippedThreshold], endpoint: &Endpoint, own: &[Threshold]) -> Vec<Threshold> {
    let is_own = |shipped: &Threshold| own.iter().any(|o| (&o.name, &o.severity) == (&shipped.name, &shipped.severity));
    let kept = shipped.iter().filter_map(|shipped| shipped.for_kind(endpoint.into_str()));
    let mut all: Vec<_> = kept.filter(|shipped| !is_own(shipped)).chain(own.iter().cloned()).collect();
    all.sort_by(|a, b| (&a.name, &a.severity).cmp(&(&b.name, &b.severity)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::disk::DiskSettings;

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
