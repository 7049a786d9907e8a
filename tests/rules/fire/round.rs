//! The rounds: which parts there are, what is done to them, and which alerts must come of it. Read from `rounds/*.yaml`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{
    super::files::{items, text, trees},
    shorter::FACTOR,
};

/// Labels, or annotations: name and value.
pub type Labels = BTreeMap<String, String>;

/// Where the rounds are.
const FOLDER: &str = "tests/rules/fire/rounds";

const ROUND: [&str; 11] =
    ["quick", "factor", "parts", "server", "pooler", "thresholds", "repositories", "disks", "probe", "own", "prepare"];
const SCENE: [&str; 4] = ["together", "follows", "muted", "lasting"];
const FAULT: [&str; 3] = ["fires", "fault", "mend"];

/// One stack, and what happens on it.
pub struct Round {
    pub name: String,
    /// Whether it is part of `make test`.
    pub is_quick: bool,
    /// How much faster the clock of its rules runs.
    pub factor: u32,
    pub parts: Vec<String>,
    /// Lines of postgresql.conf.
    pub server: String,
    /// Entries of PgBouncer's databases: `shop: pool_size=2`; and lines of its settings.
    pub pooler: Vec<String>,
    /// As the settings of each target have them.
    pub thresholds: Value,
    /// As the settings have them.
    pub repositories: Value,
    pub disks: Value,
    pub probe: Value,
    /// Collectors of the user's own, by name.
    pub own: Labels,
    pub prepare: Vec<Step>,
    pub scenes: Vec<Scene>,
}

/// Faults that are there at the same time.
pub struct Scene {
    pub faults: Vec<Fault>,
    /// Alerts that may arrive too.
    pub follows: Vec<Labels>,
    /// Alerts that fire, and that Alertmanager keeps back because of others.
    pub muted: Vec<Labels>,
    /// Alerts that may go on after the mending: of the last scene, where only the end of the stack ends them.
    pub lasting: Vec<Labels>,
}

/// What goes wrong, the alerts that must come, and what ends it.
pub struct Fault {
    pub fires: Vec<Labels>,
    pub fault: Vec<Step>,
    pub mend: Vec<Step>,
}

/// One thing done: `{VERB: WHAT, on: PART, times: N}`.
#[derive(Clone, Debug)]
pub struct Step {
    pub verb: String,
    pub what: String,
    pub on: String,
    pub times: usize,
}

pub fn rounds() -> Vec<Round> {
    trees(FOLDER).into_iter().map(|(file, root)| round(file.trim_end_matches(".yaml"), &root)).collect()
}

fn round(name: &str, root: &Value) -> Round {
    known(name, root, &[&ROUND[..], &["scenes"]].concat());
    let words = |key: &str| items(&root[key]).iter().map(text).collect();
    Round {
        name: name.to_owned(),
        is_quick: root["quick"] == true,
        factor: root.get("factor").map_or(FACTOR, |factor| text(factor).parse().expect("a number")),
        parts: words("parts"),
        server: root["server"].as_str().unwrap_or_default().to_owned(),
        pooler: words("pooler"),
        thresholds: root["thresholds"].clone(),
        repositories: root["repositories"].clone(),
        disks: root["disks"].clone(),
        probe: root["probe"].clone(),
        own: labels(&root["own"]),
        prepare: steps(name, &root["prepare"]),
        scenes: items(&root["scenes"]).iter().map(|value| scene(name, value)).collect(),
    }
}

fn scene(name: &str, value: &Value) -> Scene {
    known(name, value, &SCENE);
    Scene {
        faults: items(&value["together"]).iter().map(|value| fault(name, value)).collect(),
        follows: alerts(&value["follows"]),
        muted: alerts(&value["muted"]),
        lasting: alerts(&value["lasting"]),
    }
}

fn fault(name: &str, value: &Value) -> Fault {
    known(name, value, &FAULT);
    let fault = Fault {
        fires: alerts(&value["fires"]),
        fault: steps(name, &value["fault"]),
        mend: steps(name, &value["mend"]),
    };
    assert!(!fault.fault.is_empty(), "{name}: no `fault` in {value}");
    fault
}

/// Each a name, or a map of labels with the name under `alert`.
fn alerts(value: &Value) -> Vec<Labels> {
    let alert = |value: &Value| {
        let mut labels = if value.is_object() { labels(value) } else { Labels::from([("alert".into(), text(value))]) };
        let name = labels.remove("alert").unwrap_or_else(|| panic!("no `alert` in {value}"));
        labels.insert("alertname".to_owned(), name);
        labels
    };
    items(value).iter().map(alert).collect()
}

fn steps(name: &str, value: &Value) -> Vec<Step> {
    items(value).iter().map(|value| step(name, value)).collect()
}

fn step(name: &str, value: &Value) -> Step {
    let mut pairs = labels(value);
    let on = pairs.remove("on").unwrap_or_else(|| "primary".to_owned());
    let times = pairs.remove("times").map_or(1, |times| times.parse().expect("a number of times"));
    let (verb, what) = pairs.pop_first().unwrap_or_else(|| panic!("{name}: nothing to do in {value}"));
    assert!(pairs.is_empty(), "{name}: more than one thing to do in {value}");
    Step { verb, what, on, times }
}

/// A map of scalars.
pub fn labels(value: &Value) -> Labels {
    value.as_object().into_iter().flatten().map(|(key, value)| (key.clone(), text(value))).collect()
}

fn known(name: &str, value: &Value, keys: &[&str]) {
    let unknown: Vec<_> = labels(value).into_keys().filter(|key| !keys.contains(&key.as_str())).collect();
    assert!(value.is_object() && unknown.is_empty(), "{name}: unknown keys {unknown:?} in {value}");
}
