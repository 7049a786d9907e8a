//! YAML -> a Panel: its queries with their selectors, verdicts and lines of thresholds put in.

use pgvigil::schema::{fields::Fields, problem::Problems, yaml::Node};

use super::{
    Known,
    most::{self, Kept},
    shapes::{COLUMN, COLUMNS, KINDS, PANEL, QUERY},
    shared::Shared,
    thresholds::{Side, lines, verdict},
};
use crate::board::{BoardQuery, Column, Kind, Opens, Panel, State};

/// A query, and its expression as written.
struct Asked {
    query: BoardQuery,
    written: String,
}

pub fn panel(node: &Node, known: &Known, problems: &mut Problems) -> Option<Panel> {
    let mut fields = Fields::open(node, &PANEL, problems)?;
    let title = fields.text("title");
    let about = fields.text("about");
    let kind = fields.word("kind", &KINDS);
    let unit = fields.text("unit");
    let width = fields.whole("width", 1..=COLUMNS);
    let height = fields.whole("height", 1..=40);
    let asked = fields.each("queries", |node, problems| query(node, known, problems));
    let states = states(&mut fields, &known.shared);
    let threshold = threshold(&mut fields);
    let lines = drawn(&asked, threshold.as_ref(), &known.shared);
    let mut queries: Vec<_> = asked.into_iter().map(|asked| asked.query).collect();
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
    if worst.as_ref().is_some_and(|worst| !queries.iter().any(|query| query.legend == *worst)) {
        fields.tell("worst", "it must be the legend of one of the queries");
    }
    let kept = kept(&mut fields, kind?, &mut queries, threshold.map(|(side, _)| side), worst.as_deref(), &known.shared);
    let empty = fields.text("empty");
    let (max, bad) = (fields.number("max"), fields.number("bad"));
    let opens = names(&mut fields, "opens");
    let kind = kind?;
    let (usual_width, usual_height) = size(kind);
    Some(Panel {
        title: title?,
        about: about? + &kept.unwrap_or_default(),
        kind,
        unit: unit?,
        width: width.unwrap_or(usual_width),
        height: height.unwrap_or(usual_height),
        queries,
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

/// The lines of a panel's threshold, which is of what its first query asks.
fn drawn(asked: &[Asked], threshold: Option<&(Side, String)>, shared: &Shared) -> Vec<BoardQuery> {
    let Some((first, (side, name))) = asked.first().zip(threshold) else { return Vec::new() };
    let line = |line: BoardQuery| BoardQuery { step: first.query.step, ..line };
    lines(&first.written, &first.query.expr, *side, name, shared).into_iter().map(line).collect()
}

/// Leaves of a panel's lines or rows those that can be read; what is said of that.
fn kept(
    fields: &mut Fields<'_, '_>,
    kind: Kind,
    queries: &mut [BoardQuery],
    side: Option<Side>,
    worst: Option<&str>,
    shared: &Shared,
) -> Option<String> {
    let top = fields.whole("top", 1..=100);
    let kept = Kept::of(side, fields.flag("restless").unwrap_or(false));
    let (rows, rank) = (names(fields, "rows"), put(fields, "rank", shared));
    match kind {
        Kind::Graph | Kind::Stack | Kind::Timeline => {
            most::lines(queries, top, kind == Kind::Timeline, kept, shared).map(|top| kept.says(top))
        }
        Kind::Table if !rows.is_empty() => {
            let first = queries.iter().find(|query| worst.is_none_or(|worst| query.legend == worst))?;
            let rank = rank.unwrap_or(first.expr.clone());
            most::rows(queries, &rank, &rows, top.unwrap_or(most::ROWS));
            None
        }
        _ => None,
    }
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

fn query(node: &Node, known: &Known, problems: &mut Problems) -> Option<Asked> {
    let mut fields = Fields::open(node, &QUERY, problems)?;
    let written = fields.text("expr");
    let expr = put(&mut fields, "expr", &known.shared);
    let legend = fields.text("legend");
    let (by, leads) = (names(&mut fields, "by"), names(&mut fields, "leads"));
    let threshold = threshold(&mut fields);
    let unit = fields.text("unit");
    let states = states(&mut fields, &known.shared);
    let (is_dashed, is_hidden) = (fields.flag("dashed").unwrap_or(false), fields.flag("hidden").unwrap_or(false));
    let (written, expr) = (written?, expr?);
    let step = known.pace.step(&expr);
    let expr = match threshold {
        Some((side, name)) => {
            verdict(&expr, &by.join(", "), side, |severity| known.shared.threshold(&written, &name, severity))
        }
        None if leads.is_empty() => expr,
        None => known.leads.put(&expr, &known.shared.objects, &leads),
    };
    Some(Asked { query: BoardQuery { expr, legend: legend?, step, is_dashed, is_hidden, unit, states }, written })
}

/// The expression under a key, with its selectors.
fn put(fields: &mut Fields<'_, '_>, key: &str, shared: &Shared) -> Option<String> {
    let (written, place) = (fields.text(key), fields.place(key));
    written.and_then(|written| shared.put(written.trim(), &place, fields.problems))
}

fn names(fields: &mut Fields<'_, '_>, key: &str) -> Vec<String> {
    fields.texts(key).into_iter().map(|(name, _)| name).collect()
}

fn column(node: &Node, problems: &mut Problems) -> Option<Column> {
    let mut fields = Fields::open(node, &COLUMN, problems)?;
    let (label, title) = (fields.text("label"), fields.text("title"));
    let (uid, variable) = (fields.text("opens"), fields.text("variable"));
    if uid.is_some() != variable.is_some() {
        fields.problems.add(&fields.here(), "`opens` and `variable` belong together");
    }
    let opens = uid.zip(variable).map(|(uid, variable)| Opens { uid, variable });
    let (url, is_hidden) = (fields.text("url"), fields.flag("hidden").unwrap_or(false));
    Some(Column { label: label?, title: title?, opens, url, is_hidden })
}
