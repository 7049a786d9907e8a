//! Collectors from a postgres_exporter's file of queries: it is read (`queries`), its SQL looked through (`sql`), and a collector file
//! written for each namespace (`write`), with a comment where something needs a look. Nothing is executed.

pub mod queries;
pub mod sql;
pub mod versions;
pub mod write;

use crate::collector::catalogue::Catalogue;
use crate::collector::naming_rules::MetricNames;
use crate::schema::problem::{Place, Problems};
use crate::schema::reader::Placed;

/// What came of a file of queries.
#[derive(Debug, Default)]
pub struct Imported {
    /// Collectors: the name and the text of each file.
    pub files: Vec<(String, String)>,
    /// Namespaces of which no collector came, each with the reason.
    pub left_out: Vec<String>,
}

/// Makes a collector of each namespace; `file` is the name of the file of queries. Metrics that `shipped` has too are left out.
///
/// # Errors
/// All problems of the file.
pub fn import(file: &str, text: &str, shipped: &Catalogue) -> Result<Imported, Problems> {
    let mut problems = Problems::default();
    let namespaces = queries::read(file, text, &mut problems);
    let namespaces = problems.unless_any(namespaces)?.unwrap_or_default();
    let (mut imported, mut names) = (Imported::default(), names_of(shipped));
    for namespace in &namespaces {
        let mut name = write::query_name(&namespace.key);
        // Its file would replace that of a shipped one.
        while shipped.get(&name).is_some() || imported.files.iter().any(|(other, _)| *other == name) {
            name.push_str("_imported");
        }
        match write::collector(namespace, &name, file, &mut names) {
            Ok(text) => imported.files.push((name, text)),
            Err(reason) => imported.left_out.push(format!("{}: {}: {reason}", namespace.place, namespace.key)),
        }
    }
    Ok(imported)
}

/// The names of the shipped metrics, which no other may have.
fn names_of(shipped: &Catalogue) -> MetricNames {
    let mut names = MetricNames::default();
    for collector in &shipped.collectors {
        let place = Place::whole(&format!("{}, a shipped collector", collector.name));
        for metric in collector.queries.iter().flat_map(|query| &query.metrics) {
            let name = Placed { value: metric.def.name.clone(), place: place.clone() };
            names.claim(&name, metric.def.kind, &mut Problems::default());
        }
    }
    names
}

impl Imported {
    /// All files as one text: several are divided by lines with their names. What was left out follows as comments.
    pub fn as_text(&self) -> String {
        let several = self.files.len() > 1;
        let file = |(name, text): &(String, String)| match several {
            true => format!("--- # {name}.yaml\n{text}"),
            false => text.clone(),
        };
        let left_out = self.left_out.iter().map(|line| format!("# TODO: left out: {line}\n"));
        self.files.iter().map(file).chain(left_out).collect()
    }
}
