//! YAML -> the targets: their names, labels and thresholds.

use crate::{
    schema::{
        fields::{Fields, finite},
        problem::{Place, Problems},
        shape::{Is, KeySpec, Shape, key},
        words,
        yaml::Node,
    },
    settings::{
        Endpoint, RowLimits, TargetSettings, Threshold, backup,
        connection::{postgres, redis},
        disk,
        interpolate::{Env, expand},
        probe,
        thresholds::{SEVERITY, SEVERITY_WORDS},
    },
};

/// What `targets` holds.
pub const TARGETS: Is = Is::List(1, &Is::OneOf(&TARGET, &KIND_WORDS));

const TARGET: Shape = Shape {
    what: "a target",
    needs: &[key(
        "name",
        Is::Form("^[A-Za-z0-9_.:-]+$"),
        "The label `target` on every one of its series; no two targets have the same.",
    )],
    may: &[
        key(
            "labels",
            Is::Entries(0, STATIC_LABEL, &Is::Text),
            "More labels for all of its series; `${NAME}` is an environment variable.",
        ),
        key(
            "thresholds",
            Is::Entries(0, words::SNAKE, &Is::Entries(1, SEVERITY, &Is::Number)),
            "What alerts compare with, where it differs from rules/thresholds.yaml: `name: {warning: number, critical: number}`.",
        ),
        MAX_BYTES,
        MAX_SAMPLES,
        key("postgres", Is::Map(&postgres::POSTGRES), "A PostgreSQL server: how to reach it."),
        key("pgbouncer", Is::Map(&postgres::PGBOUNCER), "A PgBouncer: how to reach its console."),
        key("redis", Is::Map(&redis::REDIS), "A Redis or Valkey server: how to reach it."),
        key("backup", Is::Map(&backup::BACKUP), "Backups: repositories, and where what is known of them comes from."),
        key("disk", Is::Map(&disk::DISK), "Filesystems of the machine that pgvigil runs on, by paths on them."),
        key("probe", Is::Map(&probe::PROBE), "A synthetic probe: what a client of each path feels."),
    ],
    quiet: true,
};

/// The most bytes, and so the most memory, that may be asked for.
const MOST_BYTES: usize = 1 << 30;
const MOST_SAMPLES: usize = 10_000_000;

/// In the settings of a target, and, for all that have none, beside `targets`.
pub const MAX_BYTES: KeySpec = key(
    "max_bytes",
    Is::Whole(1 << 20, MOST_BYTES),
    "The most bytes a target may have on a page (before compression), three times what its rows may take in memory; 33554432 if left out. \
     What is left out is counted.",
);
pub const MAX_SAMPLES: KeySpec = key(
    "max_samples",
    Is::Whole(1000, MOST_SAMPLES),
    "The most samples a target may have on a page; 500000 if left out. What is left out is counted.",
);

/// As [`words::LABEL`], and not one of [`PROMETHEUS`].
const STATIC_LABEL: &str = "^(?!(target|le|job|instance)$|__)[A-Za-z_][A-Za-z0-9_]*$";

/// How each kind of target is read. A target is of one kind.
const KINDS: [(&str, EndpointReader); 6] = [
    ("postgres", |node, env, problems| postgres::postgres(node, env, problems).map(Endpoint::Postgres)),
    ("pgbouncer", |node, env, problems| postgres::pgbouncer(node, env, problems).map(Endpoint::PgBouncer)),
    ("redis", |node, env, problems| redis::redis(node, env, problems).map(Endpoint::Redis)),
    ("backup", |node, env, problems| backup::backup(node, env, problems).map(Endpoint::Backup)),
    ("disk", |node, env, problems| disk::disk(node, env, problems).map(Endpoint::Disk)),
    ("probe", |node, env, problems| probe::probe(node, env, problems).map(Endpoint::Probe)),
];

/// Their words, as [`Endpoint::kind`] gives them.
pub const KIND_WORDS: [&str; KINDS.len()] = words::of(&KINDS);

type EndpointReader = fn(&Node, &Env<'_>, &mut Problems) -> Option<Endpoint>;

/// Labels that Prometheus adds to every series.
const PROMETHEUS: [&str; 2] = ["job", "instance"];

/// The targets, and the names of their labels with where each stands.
pub fn targets(fields: &mut Fields<'_, '_>, env: &Env<'_>) -> (Vec<TargetSettings>, Vec<(String, Place)>) {
    let of_all = most(fields, RowLimits::default());
    if fields.node("targets").is_some_and(Node::is_empty_list) {
        fields.tell("targets", "there is no target: list at least one server to watch");
    }
    let mut seen: Vec<String> = Vec::new();
    let mut label_names = Vec::new();
    let targets = fields.each("targets", |node, problems| {
        let mut fields = Fields::open(node, &TARGET, problems)?;
        let name = fields.checked("name", target_name);
        if name.as_ref().is_some_and(|name| seen.contains(name)) {
            fields.tell("name", "a second target of this name: rename one of the two");
        }
        seen.extend(name.clone());
        let labels = labels(&mut fields, env, &mut label_names);
        let thresholds = thresholds(&mut fields);
        let most = most(&mut fields, of_all);
        let endpoint = endpoint(&mut fields, env);
        Some(TargetSettings { name: name?, labels, endpoint: endpoint?, most, thresholds })
    });
    (targets, label_names)
}

/// How much of a page, where it is said; else as it is for all.
fn most(fields: &mut Fields<'_, '_>, of_all: RowLimits) -> RowLimits {
    let bytes = fields.whole("max_bytes", (1 << 20)..=MOST_BYTES).unwrap_or(of_all.bytes);
    let samples = fields.whole("max_samples", 1000..=MOST_SAMPLES).unwrap_or(of_all.samples);
    RowLimits { bytes, samples }
}

/// What is watched: the one key that says so.
fn endpoint(fields: &mut Fields<'_, '_>, env: &Env<'_>) -> Option<Endpoint> {
    let given: Vec<_> = KINDS.iter().filter(|(key, _)| fields.has(key)).collect();
    for (key, _) in given.iter().skip(1) {
        fields
            .tell(key, format!("a target is one thing: `{}` is given too, make this a target of its own", given[0].0));
    }
    let Some((key, read)) = given.first() else {
        let kinds: Vec<_> = KINDS.iter().map(|(key, _)| format!("`{key}`")).collect();
        fields.problems.add(&fields.here(), format!("a target needs one of {}", kinds.join(", ")));
        return None;
    };
    fields.node(key).and_then(|node| read(node, env, fields.problems))
}

pub fn target_name(name: &str) -> Result<(), &'static str> {
    let is_good = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_.:-".contains(c));
    if is_good { Ok(()) } else { Err("made of A-Z, a-z, 0-9 and _ . : -") }
}

fn labels(fields: &mut Fields<'_, '_>, env: &Env<'_>, names: &mut Vec<(String, Place)>) -> Vec<(String, String)> {
    let mut labels = fields.entries("labels", |name, place, node, problems| {
        if PROMETHEUS.contains(&name) {
            problems.add(place, format!("the label `{name}` is added by Prometheus: choose another name"));
        } else if let Err(message) = words::label(name) {
            problems.add(place, message);
        }
        names.push((name.to_owned(), place.clone()));
        let Some(text) = node.text() else {
            problems.add(&node.place, "a label's value is a text");
            return None;
        };
        let value = expand(text, env).map_err(|message| problems.add(&node.place, message)).ok()?;
        Some((name.to_owned(), value))
    });
    labels.sort();
    labels
}

/// `name: {severity: number}`. Names are free: rules of the user's own may compare with them.
fn thresholds(fields: &mut Fields<'_, '_>) -> Vec<Threshold> {
    let by_name = fields.entries("thresholds", |name, place, node, problems| {
        if let Err(right) = words::snake(name) {
            problems.add(place, format!("the name of a threshold is {right}"));
        }
        if node.entries().is_empty() {
            problems.add(&node.place, "a threshold is a map: `{warning: 0.7, critical: 0.9}`");
        }
        let severities = node.entries().iter();
        Some(
            severities
                .filter_map(|(key, node)| threshold(name, &key.text, &key.place, node, problems))
                .collect::<Vec<_>>(),
        )
    });
    by_name.concat()
}

fn threshold(name: &str, severity: &str, place: &Place, node: &Node, problems: &mut Problems) -> Option<Threshold> {
    let known = SEVERITY_WORDS.into_iter();
    if !known.clone().any(|word| word == severity) {
        problems.add(place, words::unknown("no severity", severity, "there are", known));
    }
    let value = node.text().and_then(finite);
    if value.is_none() {
        problems.add(&node.place, "a threshold is a number");
    }
    Some(Threshold { name: name.to_owned(), severity: severity.to_owned(), value: value? })
}
