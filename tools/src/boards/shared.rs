//! What all boards share, `dashboards/boards/shared.yaml`: selectors, variables, annotations, states, thresholds.

use pgvigil::schema::{
    fields::Fields,
    problem::{Place, Problems},
    words, yaml,
    yaml::Node,
};

use super::shapes::{ANNOTATION, SHARED, STATE, VARIABLE};
use crate::board::{Annotation, State, Variable};

/// The labels by which targets are chosen.
const TARGET_LABELS: [&str; 3] = ["job", "cluster", "target"];

/// What boards share, by name.
pub struct Shared {
    selectors: Vec<(String, String)>,
    variables: Vec<(String, Variable)>,
    annotations: Vec<(String, Annotation)>,
    states: Vec<(String, Vec<State>)>,
    threshold: String,
    few: Vec<String>,
    pub objects: Vec<String>,
}

impl Shared {
    pub fn read(file: &str, text: &str, problems: &mut Problems) -> Option<Shared> {
        let root = yaml::parse(file, text, problems)?;
        let mut fields = Fields::open(&root, &SHARED, problems)?;
        let selectors =
            fields.entries("selectors", |name, _, node, _| Some((name.to_owned(), node.text()?.to_owned())));
        let states =
            fields.entries("states", |name, _, node, problems| Some((name.to_owned(), states(node, problems))));
        let threshold = fields.text("threshold");
        let variables =
            fields.entries("variables", |name, _, node, problems| Some((name.to_owned(), variable(node, problems)?)));
        let annotations = fields
            .entries("annotations", |name, _, node, problems| Some((name.to_owned(), annotation(node, problems)?)));
        let mut names = |key| fields.texts(key).into_iter().map(|(name, _)| name).collect();
        let (few, objects) = (names("few"), names("objects"));
        let mut shared = Shared { selectors, variables, annotations, states, threshold: threshold?, few, objects };
        shared.select(&root, problems);
        Some(shared)
    }

    /// Puts the selectors into the queries of variables and annotations.
    fn select(&mut self, root: &Node, problems: &mut Problems) {
        let mut put = |text: &str| self.put(text, &root.place, problems).unwrap_or_default();
        let queries: Vec<_> = self.variables.iter().map(|(_, variable)| put(&variable.query)).collect();
        let exprs: Vec<_> = self.annotations.iter().map(|(_, annotation)| put(&annotation.expr)).collect();
        self.variables.iter_mut().zip(queries).for_each(|((_, variable), query)| variable.query = query);
        self.annotations.iter_mut().zip(exprs).for_each(|((_, annotation), expr)| annotation.expr = expr);
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

    pub fn variable(&self, name: &str, place: &Place, problems: &mut Problems) -> Option<Variable> {
        found("variable", name, &self.variables, place, problems).cloned()
    }

    pub fn annotation(&self, name: &str, place: &Place, problems: &mut Problems) -> Option<Annotation> {
        found("annotation", name, &self.annotations, place, problems).cloned()
    }

    pub fn states(&self, name: &str, place: &Place, problems: &mut Problems) -> Option<Vec<State>> {
        found("set of states", name, &self.states, place, problems).cloned()
    }

    /// Whether a legend names labels that have many values where there are many targets.
    pub fn may_be_many(&self, legend: &str) -> bool {
        let labels = legend.split("{{").skip(1).filter_map(|rest| rest.split("}}").next());
        labels.into_iter().any(|label| !self.few.iter().any(|few| few == label))
    }

    /// The series of a threshold, of the targets that the expression (as written) is about.
    pub fn threshold(&self, of: &str, name: &str, severity: &str) -> String {
        let selector = of.split('@').nth(1).and_then(|name| self.selectors.iter().find(|(n, _)| n == name));
        let selector = of_targets(selector.map_or("", |(_, selector)| selector));
        self.threshold.replace("@selector@", &selector).replace("@name@", name).replace("@severity@", severity)
    }
}

/// Of a selector's matchers, those that choose targets: thresholds are of targets, not of what is within them.
fn of_targets(selector: &str) -> String {
    let chooses = |matcher: &&str| matcher.split('=').next().is_some_and(|label| TARGET_LABELS.contains(&label));
    selector.split(", ").filter(chooses).collect::<Vec<_>>().join(", ")
}

/// What is called so; that there is none is told.
fn found<'a, T>(
    what: &str,
    name: &str,
    all: &'a [(String, T)],
    place: &Place,
    problems: &mut Problems,
) -> Option<&'a T> {
    let found = all.iter().find(|(known, _)| known == name).map(|(_, value)| value);
    if found.is_none() {
        let known = all.iter().map(|(known, _)| known.as_str());
        problems.add(place, words::unknown(&format!("no shared {what}"), name, "there are", known));
    }
    found
}

fn variable(node: &Node, problems: &mut Problems) -> Option<Variable> {
    let mut fields = Fields::open(node, &VARIABLE, problems)?;
    let (name, label) = (fields.checked("name", words::snake), fields.text("label"));
    let (query, all) = (fields.text("query"), fields.text("all"));
    Some(Variable { name: name?, label: label?, query: query?, all: all? })
}

fn annotation(node: &Node, problems: &mut Problems) -> Option<Annotation> {
    let mut fields = Fields::open(node, &ANNOTATION, problems)?;
    let (title, expr) = (fields.text("title"), fields.text("expr"));
    let (text, color) = (fields.text("text"), fields.text("color"));
    let value_is_time = fields.flag("value_is_time").unwrap_or(false);
    let is_off = fields.flag("off").unwrap_or(false);
    Some(Annotation { title: title?, expr: expr?, text: text?, color: color?, value_is_time, is_off })
}

fn states(node: &Node, problems: &mut Problems) -> Vec<State> {
    let yaml::NodeValue::List(items) = &node.value else {
        problems.add(&node.place, "a set of states is a list");
        return Vec::new();
    };
    let state = |node: &Node, problems: &mut Problems| {
        let mut fields = Fields::open(node, &STATE, problems)?;
        let (value, says, color) = (fields.text("value"), fields.text("says"), fields.text("color"));
        Some(State { value: value?, says: says?, color: color? })
    };
    items.iter().filter_map(|item| state(item, problems)).collect()
}
