//! YAML -> a Panel: its queries with their selectors, verdicts and lines of thresholds put in.

use pgvigil::declare;
use pgvigil::schema::problem::{Place, Problems};
use pgvigil::schema::reader::Placed;
use pgvigil::schema::values::{flag, list, map, text, whole};

use super::Known;
use super::most::{self, Kept};
use super::thresholds::{Side, lines, verdict};
use crate::board::{BoardQuery, Kind, Panel, PanelOptions};

declare! {
    pub struct PanelKeys: "a panel" {
        ..options: PanelOptions,
        /// What it asks.
        queries: Vec<BoardQueryKeys> = list(map()),
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
    pub(super) fn panel(mut self, place: &Place, known: &Known, problems: &mut Problems) -> Option<Panel> {
        let (shared, kind) = (&known.shared, self.options.kind);
        let mut queries: Vec<_> = self.queries.into_iter().filter_map(|query| query.query(known, problems)).collect();
        let states = shared.states(self.states.as_ref(), problems);
        let threshold = self.threshold.side();
        let line = queries.first().zip(threshold.as_ref());
        let lines = line.map_or(Vec::new(), |(first, (side, name))| lines(first, *side, name, shared));
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
        match kind {
            Kind::Graph | Kind::Stack | Kind::Timeline => {
                let kept = Kept::of(threshold.map(|(side, _)| side), self.restless);
                let top = most::lines(&mut queries, self.top, kind == Kind::Timeline, kept, shared);
                self.options.about.extend(top.map(|top| kept.says(top)));
            }
            Kind::Table if !self.rows.is_empty() => {
                let first = queries.iter().find(|query| worst.is_none_or(|worst| query.legend == *worst));
                let rank = rank.or(first.map(|first| first.expr.clone()))?;
                most::rows(&mut queries, &rank, &self.rows, self.top.unwrap_or(most::ROWS));
            }
            _ => {}
        }
        Some(Panel { options: self.options, queries, states, lines })
    }
}

impl BoardQueryKeys {
    fn query(self, known: &Known, problems: &mut Problems) -> Option<BoardQuery> {
        let shared = &known.shared;
        let states = shared.states(self.states.as_ref(), problems);
        let asked = shared.put(self.expr.value.trim(), &self.expr.place, problems)?;
        let expr = match self.threshold.side() {
            Some((side, name)) => {
                verdict(&asked, &self.by.join(", "), side, |severity| shared.threshold(&asked, &name, severity))
            }
            None if self.leads.is_empty() => asked.clone(),
            None => known.leads.put(&asked, &shared.objects, &self.leads),
        };
        Some(BoardQuery {
            expr,
            legend: self.legend,
            step: known.pace.step(&asked),
            is_dashed: self.dashed,
            is_hidden: self.hidden,
            unit: self.unit,
            states,
        })
    }
}
