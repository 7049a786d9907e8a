//! A Board: one file in `dashboards/boards/`, validated. It says which questions a dashboard answers, by which panels.
//!
//! Everything is resolved: expressions have their selectors, variables and states their meaning.

use std::time::Duration;

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

/// What a reader of the board chooses; several at once, or all.
#[derive(Clone, Debug, PartialEq)]
pub struct Variable {
    pub name: String,
    pub label: String,
    /// Where the choices come from: `label_values(..)`.
    pub query: String,
    /// The regular expression that stands for all; `.*` where series may lack the label.
    pub all: String,
}

/// Events that are drawn into every graph.
#[derive(Clone, Debug, PartialEq)]
pub struct Annotation {
    pub title: String,
    pub expr: String,
    /// What is said of an event; `{{label}}` stands for a label.
    pub text: String,
    pub color: String,
    /// The value is when it happened, in milliseconds. Otherwise it happens while there is a value.
    pub value_is_time: bool,
    /// Not drawn until the reader switches it on.
    pub is_off: bool,
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
    pub title: String,
    pub about: String,
    pub kind: Kind,
    /// Grafana's id of the unit: `s`, `bytes`, `percentunit`.
    pub unit: String,
    pub width: u32,
    pub height: u32,
    pub queries: Vec<BoardQuery>,
    /// What values mean.
    pub states: Vec<State>,
    /// Where alerts begin, one line for each severity.
    pub lines: Vec<BoardQuery>,
    /// Of a table: the labels shown, in order.
    pub columns: Vec<Column>,
    /// Of a table: the query whose column it is sorted by, the largest first.
    pub worst: Option<String>,
    /// Shown instead of nothing.
    pub empty: Option<String>,
    /// The most the value can be: 1 for a part of a whole.
    pub max: Option<f64>,
    /// From this value on it is bad, below it good.
    pub bad: Option<f64>,
    /// Uids of boards that say more.
    pub opens: Vec<String>,
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

/// What a value means.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    pub value: String,
    pub says: String,
    pub color: String,
}

/// A label in a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    pub label: String,
    pub title: String,
    pub opens: Option<Opens>,
    /// Where a click leads, as Grafana writes it.
    pub url: Option<String>,
    /// There for the links of others.
    pub is_hidden: bool,
}

/// Where a label leads: the board, and which of its variables takes the label's value.
#[derive(Clone, Debug, PartialEq)]
pub struct Opens {
    pub uid: String,
    pub variable: String,
}
