//! A Board: one file in `dashboards/boards/`, validated. It says which questions a dashboard answers, by which panels.
//!
//! Everything is resolved: expressions have their selectors, variables and states their meaning.

use std::time::Duration;

use pgvigil::declare;
use pgvigil::schema::reader::Placed;
use pgvigil::schema::values::{flag, list, map, number, snake, text, word};

/// The width of a board.
pub const COLUMNS: u32 = 24;

/// One board file, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Board {
    /// Equals the file's name without `.yaml`.
    pub name: String,
    /// What links name it by; it never changes.
    pub uid: String,
    pub title: String,
    /// The comment at the head of the file: what the board is for.
    pub about: String,
    pub variables: Vec<Variable>,
    pub annotations: Vec<Annotation>,
    pub rows: Vec<Row>,
}

impl Board {
    /// The name of what is made of it.
    pub fn file(&self) -> String {
        format!("{}.json", self.name)
    }
}

declare! {
    /// What a reader of the board chooses; several at once, or all.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Variable: "a variable" {
        /// Its name in expressions and links.
        name: String = snake(),
        /// What it is called.
        label: String = text(),
        /// Where the choices come from: `label_values(..)`.
        query: String = text(),
        /// The regular expression that stands for all; `.*` where series may lack the label.
        all: String = text(),
    }
}

declare! {
    /// Events that are drawn into every graph.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Annotation: "an annotation" {
        /// What it is called.
        title: String = text(),
        /// PromQL; `@name@` is one of the selectors.
        expr: String = text(),
        /// What is said of an event; `{{label}}` stands for a label.
        text: String = text(),
        /// Its color.
        color: String = text(),
        /// The value is when it happened, in milliseconds. Otherwise it happens while there is a value.
        value_is_time: bool = flag().or(false),
        /// Not drawn until the reader switches it on.
        is_off as "off": bool = flag().or(false),
    }
}

/// Panels under one heading.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    pub title: String,
    pub panels: Vec<Panel>,
}

/// One panel, its width in twenty-fourths of the board and its height in Grafana's units (30 pixels).
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    pub options: PanelOptions,
    pub about: String,
    pub width: u32,
    pub height: u32,
    pub queries: Vec<BoardQuery>,
    /// What values mean.
    pub states: Vec<State>,
    /// Where alerts begin, one line for each severity.
    pub lines: Vec<BoardQuery>,
}

declare! {
    /// What a panel is as it is written.
    #[derive(Clone, Debug, PartialEq)]
    pub struct PanelOptions: "a panel" {
        /// What it shows.
        title: String = text(),
        /// How it shows its values.
        kind: Kind = word(&KINDS),
        /// Grafana's id of the unit: `s`, `bytes`, `percentunit`.
        unit: String = text(),
        /// Of a table: the labels shown, in order.
        columns: Vec<Column> = list(map()).or(Vec::new()),
        /// Of a table: the legend of the query it is sorted by, the largest first.
        worst: Option<Placed<String>> = text().placed().optional(),
        /// Shown instead of nothing.
        empty: Option<String> = text().optional(),
        /// The most the value can be: 1 for a part of a whole.
        max: Option<f64> = number().optional(),
        /// From this value on it is bad, below it good.
        bad: Option<f64> = number().optional(),
        /// Uids of boards that say more.
        opens: Vec<String> = list(text()).or(Vec::new()),
    }
}

/// How a panel shows its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The last values, large.
    Stat,
    /// Values over time, as lines.
    Graph,
    /// Values over time, on top of each other.
    Stack,
    /// The last values, by label.
    Table,
    /// States over time.
    Timeline,
    /// The last values, as bars.
    Bars,
    /// A histogram over time.
    Heatmap,
}

/// The words for how a panel shows its values.
pub const KINDS: [(&str, Kind); 7] = [
    ("stat", Kind::Stat),
    ("graph", Kind::Graph),
    ("stack", Kind::Stack),
    ("table", Kind::Table),
    ("timeline", Kind::Timeline),
    ("bars", Kind::Bars),
    ("heatmap", Kind::Heatmap),
];

/// A query and what its series, or in a table its column, are called.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoardQuery {
    pub expr: String,
    pub legend: String,
    /// Grafana asks for no more points than one in this time: its rates would fall to 0 between readings.
    pub step: Option<Duration>,
    /// Drawn dashed: it is of another time than now.
    pub is_dashed: bool,
    /// In a table: its labels are wanted, and not its value.
    pub is_hidden: bool,
    /// In a table, where it differs from the panel's.
    pub unit: Option<String>,
    /// In a table, what its values mean.
    pub states: Vec<State>,
}

declare! {
    /// What a value means.
    #[derive(Clone, Debug, PartialEq)]
    pub struct State: "a state" {
        /// The value.
        value: String = text(),
        /// What it means.
        says: String = text(),
        /// Its color.
        color: String = text(),
    }
}

declare! {
    /// A label in a table.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Column: "a column" {
        /// The label.
        label: String = text(),
        /// What it is called.
        title: String = text(),
        /// The uid of the board that a click leads to.
        opens: Option<String> = text().beside(&["variable"]).optional(),
        /// Which of its variables takes the label's value.
        variable: Option<String> = text().beside(&["opens"]).optional(),
        /// Where a click leads, as Grafana writes it.
        url: Option<String> = text().optional(),
        /// Not shown: there for the links of others.
        is_hidden as "hidden": bool = flag().or(false),
    }
}
