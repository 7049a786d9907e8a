//! What all boards share, `dashboards/boards/shared.yaml`: selectors, variables, annotations, states, thresholds.

use pgvigil::declare;
use pgvigil::schema::problem::{Place, Problems};
use pgvigil::schema::reader::{Entry, Placed, Reader, Schema};
use pgvigil::schema::values::{entries, list, map, text};
use pgvigil::schema::yaml::Node;
use pgvigil::schema::{words, yaml};

use crate::board::{Annotation, State, Variable};

/// The labels by which targets are chosen.
const TARGET_LABELS: [&str; 3] = ["job", "cluster", "target"];

declare! {
    /// What boards share, by name.
    pub struct Shared: "the file of what boards share" {
        /// What `@name@` stands for in an expression.
        selectors: Vec<Entry<String>> = named(text()),
        /// What readers choose.
        variables: Vec<Entry<Variable>> = named(map()),
        /// Events.
        annotations: Vec<Entry<Annotation>> = named(map()),
        /// Sets of what values mean.
        states: Vec<Entry<Vec<State>>> = named(list(map())),
        /// A threshold's series; `@selector@`, `@name@`, `@severity@` are put in.
        threshold: String = text(),
        /// Labels of few values: what is by these alone is never too many lines.
        few: Vec<String> = list(text()),
        /// Labels that say what of a target an alert is about.
        objects: Vec<String> = list(text()),
    }
}

fn named<T: 'static>(value: Schema<T>) -> Schema<Vec<Entry<T>>> {
    entries(words::SNAKE, |name| words::snake(name).map_err(|right| format!("a name is {right}")), value)
}

impl Shared {
    pub fn read(file: &str, text: &str, problems: &mut Problems) -> Option<Shared> {
        let root = yaml::parse(file, text, problems)?;
        let mut shared: Shared = map().read(&root, "the file", &mut Reader::new(problems))?;
        shared.select(&root, problems);
        Some(shared)
    }

    /// Puts the selectors into the queries of variables and annotations.
    fn select(&mut self, root: &Node, problems: &mut Problems) {
        let mut put = |text: &str| self.put(text, &root.place, problems).unwrap_or_default();
        let queries: Vec<_> = self.variables.iter().map(|variable| put(&variable.value.query)).collect();
        let exprs: Vec<_> = self.annotations.iter().map(|annotation| put(&annotation.value.expr)).collect();
        self.variables.iter_mut().zip(queries).for_each(|(variable, query)| variable.value.query = query);
        self.annotations.iter_mut().zip(exprs).for_each(|(annotation, expr)| annotation.value.expr = expr);
    }

    /// The text with each `@name@` replaced by the selector it names.
    pub fn put(&self, text: &str, place: &Place, problems: &mut Problems) -> Option<String> {
        let mut out = String::new();
        for (nth, piece) in text.split('@').enumerate() {
            let is_name = nth % 2 == 1;
            out.push_str(if is_name { found("selector", piece, &self.selectors, place, problems)? } else { piece });
        }
        Some(out)
    }

    pub fn variable(&self, name: &Placed<String>, problems: &mut Problems) -> Option<Variable> {
        found("variable", &name.value, &self.variables, &name.place, problems).cloned()
    }

    pub fn annotation(&self, name: &Placed<String>, problems: &mut Problems) -> Option<Annotation> {
        found("annotation", &name.value, &self.annotations, &name.place, problems).cloned()
    }

    pub fn states(&self, name: Option<&Placed<String>>, problems: &mut Problems) -> Vec<State> {
        let states = name.and_then(|name| found("set of states", &name.value, &self.states, &name.place, problems));
        states.cloned().unwrap_or_default()
    }

    /// Whether a legend names labels that have many values where there are many targets.
    pub fn may_be_many(&self, legend: &str) -> bool {
        let labels = legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
        labels.into_iter().any(|label| !self.few.iter().any(|few| few == label))
    }

    /// The series of a threshold, of the targets that the expression is about: those of its first selector.
    pub fn threshold(&self, of: &str, name: &str, severity: &str) -> String {
        let selector = of_targets(of.split(['{', '}']).nth(1).unwrap_or_default());
        self.threshold.replace("@selector@", &selector).replace("@name@", name).replace("@severity@", severity)
    }
}

/// Those matchers of a selector that choose targets: thresholds belong to targets, not to objects within them.
fn of_targets(selector: &str) -> String {
    let chooses = |matcher: &&str| matcher.split('=').next().is_some_and(|label| TARGET_LABELS.contains(&label));
    selector.split(", ").filter(chooses).collect::<Vec<_>>().join(", ")
}

/// The item of this name. If there is none, that is reported.
fn found<'a, T>(what: &str, name: &str, all: &'a [Entry<T>], place: &Place, problems: &mut Problems) -> Option<&'a T> {
    let found = all.iter().find(|known| known.key == name).map(|known| &known.value);
    if found.is_none() {
        let known = all.iter().map(|known| known.key.as_str());
        problems.add(place, words::unknown(&format!("no shared {what}"), name, "there are", known));
    }
    found
}
