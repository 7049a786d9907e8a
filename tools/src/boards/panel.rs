//! YAML -> a Panel: its queries with their selectors, verdicts and lines of thresholds put in.

use pgvigil::declare;
use pgvigil::schema::problem::{Place, Problems};
use pgvigil::schema::reader::Placed;
use pgvigil::schema::values::{flag, list, map, text, whole};

use super::Known;
use super::most::{self, Kept};
use super::shared::Shared;
use super::thresholds::{Side, lines, verdict};
use crate::board::{BoardQuery, COLUMNS, Kind, Panel, PanelOptions, State};

/// A query, and its expression as written.
struct Asked {
    query: BoardQuery,
    written: String,
}

declare! {
    pub struct PanelKeys: "a panel" {
        ..options: PanelOptions,
        /// What its values mean, what to do about them, and why there may be none.
        about: String = text(),
        /// What it asks.
        queries: Vec<BoardQueryKeys> = list(map()),
        /// In twenty-fourths of the board.
        width: Option<u32> = whole(1..=COLUMNS).optional(),
        /// In units of 30 pixels.
        height: Option<u32> = whole(1..=40).optional(),
        /// What values mean: one of the shared sets of states.
        states: Option<Placed<String>> = text().placed().optional(),
        /// How many rows of a table, or lines of each query, are kept where there are more.
        top: Option<usize> = whole(1..=100).optional(),
        /// Of lines those are kept that changed most, not those that were highest.
        restless: bool = flag().or(false),
        /// Of a table: the labels that tell its rows apart. Then rows are kept by `rank`.
        rows: Vec<String> = list(text()).or(Vec::new()),
        /// Of a table: PromQL by which rows are kept, the highest; if absent, the query `worst`.
        rank: Option<Placed<String>> = text().placed().optional(),
        ..threshold: ThresholdKeys,
    }
}

declare! {
    pub struct BoardQueryKeys: "a query" {
        /// PromQL; `@name@` is one of the shared selectors.
        expr: Placed<String> = text().placed(),
        /// What its series are called, or its column in a table.
        legend: String = text(),
        /// With `above` or `below`: the labels that are kept; of the others the worst counts.
        by: Vec<String> = list(text()).or(Vec::new()),
        /// In a table, where it differs from the panel's.
        unit: Option<String> = text().optional(),
        /// In a table, what its values mean.
        states: Option<Placed<String>> = text().placed().optional(),
        /// In a table: its labels are wanted, and not its value.
        hidden: bool = flag().or(false),
        /// Drawn dashed: it is of another time than now.
        dashed: bool = flag().or(false),
        /// Of alerts: the labels that are kept, with `about`, `board` and `variable` among those there are.
        leads: Vec<String> = list(text()).or(Vec::new()),
        ..threshold: ThresholdKeys,
    }
}

declare! {
    pub struct ThresholdKeys: "a threshold" {
        /// A threshold that it is bad to be above. A panel draws it; a query gives 0, above the warning 1, above the critical one 2.
        above: Option<String> = text().optional(),
        /// The same for values below it.
        below: Option<String> = text().instead_of("above").optional(),
    }
}

impl ThresholdKeys {
    fn side(self) -> Option<(Side, String)> {
        self.above.map(|name| (Side::Above, name)).or(self.below.map(|name| (Side::Below, name)))
    }
}

impl PanelKeys {
    /// The panel; `place` is that of its keys.
    pub(super) fn panel(self, place: &Place, known: &Known, problems: &mut Problems) -> Option<Panel> {
        let (shared, kind) = (&known.shared, self.options.kind);
        let asked: Vec<_> = self.queries.into_iter().filter_map(|query| query.asked(known, problems)).collect();
        let states = states(self.states.as_ref(), shared, problems);
        let threshold = self.threshold.side();
        let lines = drawn(&asked, threshold.as_ref(), shared);
        let mut queries: Vec<_> = asked.into_iter().map(|asked| asked.query).collect();
        if let Some(states) = self.states.as_ref().filter(|_| kind == Kind::Table) {
            problems.add(&states.place, "the columns of a table differ: give `states` to its queries");
        }
        if !lines.is_empty() && !matches!(kind, Kind::Graph | Kind::Stack) {
            let message = "`above` and `below` of a panel draw lines, which only a graph has: give them to queries";
            problems.add(place, message);
        }
        let is_legend = |worst: &String| queries.iter().any(|query| query.legend == *worst);
        if let Some(worst) = self.options.worst.as_ref().filter(|worst| !is_legend(&worst.value)) {
            problems.add(&worst.place, "it must be the legend of one of the queries");
        }
        let worst = self.options.worst.as_ref().map(|worst| &worst.value);
        let rank = self.rank.and_then(|rank| shared.put(rank.value.trim(), &rank.place, problems));
        let mut about = self.about;
        match kind {
            Kind::Graph | Kind::Stack | Kind::Timeline => {
                let kept = Kept::of(threshold.map(|(side, _)| side), self.restless);
                let top = most::lines(&mut queries, self.top, kind == Kind::Timeline, kept, shared);
                about.extend(top.map(|top| kept.says(top)));
            }
            Kind::Table if !self.rows.is_empty() => {
                let first = queries.iter().find(|query| worst.is_none_or(|worst| query.legend == *worst));
                let rank = rank.or(first.map(|first| first.expr.clone()))?;
                most::rows(&mut queries, &rank, &self.rows, self.top.unwrap_or(most::ROWS));
            }
            _ => {}
        }
        let (usual_width, usual_height) = size(kind);
        Some(Panel {
            about,
            width: self.width.unwrap_or(usual_width),
            height: self.height.unwrap_or(usual_height),
            queries,
            states,
            lines,
            options: self.options,
        })
    }
}

/// The lines of a panel's threshold, which applies to its first query.
fn drawn(asked: &[Asked], threshold: Option<&(Side, String)>, shared: &Shared) -> Vec<BoardQuery> {
    let Some((first, (side, name))) = asked.first().zip(threshold) else { return Vec::new() };
    let line = |line: BoardQuery| BoardQuery { step: first.query.step, ..line };
    lines(&first.written, &first.query.expr, *side, name, shared).into_iter().map(line).collect()
}

/// The default size of a panel.
fn size(kind: Kind) -> (u32, u32) {
    match kind {
        Kind::Stat => (4, 4),
        Kind::Timeline => (COLUMNS, 7),
        Kind::Graph | Kind::Stack | Kind::Table | Kind::Bars | Kind::Heatmap => (COLUMNS / 2, 8),
    }
}

fn states(name: Option<&Placed<String>>, shared: &Shared, problems: &mut Problems) -> Vec<State> {
    name.and_then(|name| shared.states(name, problems)).unwrap_or_default()
}

impl BoardQueryKeys {
    fn asked(self, known: &Known, problems: &mut Problems) -> Option<Asked> {
        let shared = &known.shared;
        let states = states(self.states.as_ref(), shared, problems);
        let written = self.expr.value;
        let expr = shared.put(written.trim(), &self.expr.place, problems)?;
        let step = known.pace.step(&expr);
        let expr = match self.threshold.side() {
            Some((side, name)) => {
                verdict(&expr, &self.by.join(", "), side, |severity| shared.threshold(&written, &name, severity))
            }
            None if self.leads.is_empty() => expr,
            None => known.leads.put(&expr, &shared.objects, &self.leads),
        };
        let query = BoardQuery {
            expr,
            legend: self.legend,
            step,
            is_dashed: self.dashed,
            is_hidden: self.hidden,
            unit: self.unit,
            states,
        };
        Some(Asked { query, written })
    }
}
