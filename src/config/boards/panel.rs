//! YAML -> a Panel: its queries with their selectors, verdicts and lines of thresholds put in.

use super::{
    shapes::{COLUMN, COLUMNS, KINDS, PANEL, QUERY},
    shared::Shared,
};
use crate::config::{
    board::{BoardQuery, Column, Kind, Opens, Panel, State},
    fields::Fields,
    problem::Problems,
    yaml::Node,
};

/// The severities of thresholds, the least first.
const SEVERITIES: [&str; 2] = ["warning", "critical"];

/// A query, and its expression as written.
struct Asked {
    query: BoardQuery,
    written: String,
}

/// Which side of a threshold is bad.
#[derive(Clone, Copy)]
enum Side {
    Above,
    Below,
}

pub fn panel(node: &Node, shared: &Shared, problems: &mut Problems) -> Option<Panel> {
    let mut fields = Fields::open(node, &PANEL, problems)?;
    let title = fields.text("title");
    let about = fields.text("about");
    let kind = fields.word("kind", &KINDS);
    let unit = fields.text("unit");
    let width = fields.whole("width", 1..=COLUMNS);
    let height = fields.whole("height", 1..=40);
    let queries = fields.each("queries", |node, problems| query(node, shared, problems));
    let states = states(&mut fields, shared);
    let lines = threshold(&mut fields).map(|(side, name)| lines(&queries, side, &name, shared)).unwrap_or_default();
    if kind == Some(Kind::Table) && !states.is_empty() {
        fields.tell("states", "the columns of a table differ: give `states` to its queries");
    }
    if !lines.is_empty() && !matches!(kind, Some(Kind::Graph | Kind::Stack)) {
        fields.problems.add(
            &fields.here(),
            "`above` and `below` of a panel draw lines, which only a graph has: give them to queries",
        );
    }
    let columns = fields.each("columns", column);
    let worst = fields.text("worst");
    if worst.as_ref().is_some_and(|worst| !queries.iter().any(|asked| asked.query.legend == *worst)) {
        fields.tell("worst", "it must be the legend of one of the queries");
    }
    let empty = fields.text("empty");
    let (max, bad) = (fields.number("max"), fields.number("bad"));
    let opens = fields.texts("opens").into_iter().map(|(uid, _)| uid).collect();
    let kind = kind?;
    let (usual_width, usual_height) = size(kind);
    Some(Panel {
        title: title?,
        about: about?,
        kind,
        unit: unit?,
        width: width.unwrap_or(usual_width),
        height: height.unwrap_or(usual_height),
        queries: queries.into_iter().map(|asked| asked.query).collect(),
        states,
        lines,
        columns,
        worst,
        empty,
        max,
        bad,
        opens,
    })
}

/// How large a panel is that does not say so.
fn size(kind: Kind) -> (u32, u32) {
    match kind {
        Kind::Stat => (4, 4),
        Kind::Timeline => (COLUMNS, 7),
        Kind::Graph | Kind::Stack | Kind::Table | Kind::Bars | Kind::Heatmap => (COLUMNS / 2, 8),
    }
}

fn states(fields: &mut Fields<'_, '_>, shared: &Shared) -> Vec<State> {
    let (name, place) = (fields.text("states"), fields.place("states"));
    name.and_then(|name| shared.states(&name, &place, fields.problems)).unwrap_or_default()
}

/// The threshold that a map names under `above` or `below`.
fn threshold(fields: &mut Fields<'_, '_>) -> Option<(Side, String)> {
    let (above, below) = (fields.text("above"), fields.text("below"));
    if above.is_some() && below.is_some() {
        fields.tell("below", "`above` is given too: keep one of the two");
    }
    above.map(|name| (Side::Above, name)).or(below.map(|name| (Side::Below, name)))
}

/// Where the alerts of a threshold begin. Where the targets that are shown differ, that of the strictest.
fn lines(queries: &[Asked], side: Side, name: &str, shared: &Shared) -> Vec<BoardQuery> {
    let written = queries.first().map_or("", |asked| asked.written.as_str());
    let strictest = match side {
        Side::Above => "min",
        Side::Below => "max",
    };
    let line = |severity: &str| BoardQuery {
        expr: format!("{strictest}({})", shared.threshold(written, name, severity)),
        legend: severity.to_owned(),
        unit: None,
        states: Vec::new(),
    };
    SEVERITIES.map(line).into()
}

fn query(node: &Node, shared: &Shared, problems: &mut Problems) -> Option<Asked> {
    let mut fields = Fields::open(node, &QUERY, problems)?;
    let written = fields.text("expr");
    let place = fields.place("expr");
    let expr = written.as_ref().and_then(|written| shared.put(written.trim(), &place, fields.problems));
    let legend = fields.text("legend");
    let by: Vec<_> = fields.texts("by").into_iter().map(|(label, _)| label).collect();
    let threshold = threshold(&mut fields);
    let unit = fields.text("unit");
    let states = states(&mut fields, shared);
    let (written, expr) = (written?, expr?);
    let expr = match threshold {
        Some((side, name)) => {
            verdict(&expr, &by.join(", "), side, |severity| shared.threshold(&written, &name, severity))
        }
        None => expr,
    };
    Some(Asked { query: BoardQuery { expr, legend: legend?, unit, states }, written })
}

/// 0 within the thresholds, 1 beyond the warning, 2 beyond the critical one (which need not be there); absent where the
/// expression is.
fn verdict(expr: &str, by: &str, side: Side, threshold: impl Fn(&str) -> String) -> String {
    let operator = match side {
        Side::Above => ">",
        Side::Below => "<",
    };
    let worst = |expr: &str| format!("max by ({by}) ({expr})");
    let beyond = |severity| {
        let threshold = threshold(severity);
        worst(&format!("({expr}) {operator} bool on (job, instance, target) group_left () {threshold}"))
    };
    let [warning, critical] = SEVERITIES.map(beyond);
    format!("{warning} + ({critical} or {} * 0)", worst(expr))
}

fn column(node: &Node, problems: &mut Problems) -> Option<Column> {
    let mut fields = Fields::open(node, &COLUMN, problems)?;
    let (label, title) = (fields.text("label"), fields.text("title"));
    let (uid, variable) = (fields.text("opens"), fields.text("variable"));
    if uid.is_some() != variable.is_some() {
        fields.problems.add(&fields.here(), "`opens` and `variable` belong together");
    }
    let opens = uid.zip(variable).map(|(uid, variable)| Opens { uid, variable });
    Some(Column { label: label?, title: title?, opens })
}
