//! A Board: one file in `dashboards/boards/`, validated: the questions of a dashboard, and the panels that answer them.
//!
//! Everything is resolved: selectors in expressions, and the references to variables and states.

use std::time::Duration;

use strum::{EnumString, VariantNames};

use pgvigil::declare;
use pgvigil::schema::reader::Placed;
use pgvigil::schema::values::{flag, list, map, number, snake, text, whole, word};

/// The width of a board.
pub const COLUMNS: u32 = 24;

/// One board file, validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Board {
    /// Equals the file's name without `.yaml`.
    pub name: String,
    /// Its name in links; it never changes.
    pub uid: String,
    pub title: String,
    /// The comment at the head of the file: the purpose of the board.
    pub about: String,
    pub variables: Vec<Variable>,
    pub annotations: Vec<Annotation>,
    pub rows: Vec<Row>,
}

impl Board {
    /// The name of the generated file.
    pub fn file(&self) -> String {
        format!("{}.json", self.name)
    }
}

declare! {
    /// A choice of the board's reader: one value, several, or all.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Variable: "a variable" {
        /// Its name in expressions and links.
        name: String = snake(),
        /// Its title.
        label: String = text(),
        /// The query for its values: `label_values(..)`.
        query: String = text(),
        /// The regular expression for all values; `.*` where series may lack the label.
        all: String = text(),
    }
}

declare! {
    /// Events that are drawn into every graph.
    #[derive(Clone, Debug, PartialEq)]
    pub struct Annotation: "an annotation" {
        /// Its title.
        title: String = text(),
        /// PromQL; `@name@` is one of the selectors.
        expr: String = text(),
        /// The text of an event; `{{label}}` stands for a label.
        text: String = text(),
        /// Its color.
        color: String = text(),
        /// The value is the time of the event, in milliseconds. Otherwise the event lasts while there is a value.
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

/// One panel.
#[derive(Clone, Debug, PartialEq)]
pub struct Panel {
    pub options: PanelOptions,
    pub queries: Vec<BoardQuery>,
    /// The meanings of values.
    pub states: Vec<State>,
    /// The thresholds of alerts, one line for each severity.
    pub lines: Vec<BoardQuery>,
}

impl Panel {
    /// Its width in twenty-fourths of the board and its height in Grafana's units (30 pixels).
    pub fn size(&self) -> (u32, u32) {
        let (width, height) = match self.options.kind {
            Kind::Stat => (4, 4),
            Kind::Timeline => (COLUMNS, 7),
            Kind::Graph | Kind::Stack | Kind::Table | Kind::Bars | Kind::Heatmap => (COLUMNS / 2, 8),
        };
        (self.options.width.unwrap_or(width), self.options.height.unwrap_or(height))
    }
}

declare! {
    /// The keys of a panel that are in the file as they are here.
    #[derive(Clone, Debug, PartialEq)]
    pub struct PanelOptions: "a panel" {
        /// Its title.
        title: String = text(),
        /// What its values mean, what to do about them, and why there may be none.
        about: String = text(),
        /// How it shows its values.
        kind: Kind = word(),
        /// Grafana's id of the unit: `s`, `bytes`, `percentunit`.
        unit: String = text(),
        /// For a table: the labels shown, in order.
        columns: Vec<Column> = list(map()).or(Vec::new()),
        /// For a table: the legend of the query by which it is sorted, the largest value first.
        worst: Option<Placed<String>> = text().placed().optional(),
        /// The text shown if there is no value.
        empty: Option<String> = text().optional(),
        /// The maximum of the value: 1 for a part of a whole.
        max: Option<f64> = number().optional(),
        /// Values from this one on are bad, those below are good.
        bad: Option<f64> = number().optional(),
        /// Uids of boards with more details.
        opens: Vec<String> = list(text()).or(Vec::new()),
        /// In twenty-fourths of the board.
        width: Option<u32> = whole(1..=COLUMNS).optional(),
        /// In units of 30 pixels.
        height: Option<u32> = whole(1..=40).optional(),
    }
}

/// How a panel shows its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
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

/// A query, and the legend of its series, or in a table the title of its column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BoardQuery {
    pub expr: String,
    pub legend: String,
    /// Grafana requests at most one point in this time: its rates would fall to 0 between readings.
    pub step: Option<Duration>,
    /// Drawn dashed: it shows another time than now.
    pub is_dashed: bool,
    /// In a table: its labels are shown, but not its value.
    pub is_hidden: bool,
    /// In a table, if it differs from the panel's.
    pub unit: Option<String>,
    /// In a table, the meanings of its values.
    pub states: Vec<State>,
}

declare! {
    /// The meaning of a value.
    #[derive(Clone, Debug, PartialEq)]
    pub struct State: "a state" {
        /// The value.
        value: String = text(),
        /// Its meaning.
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
        /// Its title.
        title: String = text(),
        /// The uid of the board that a click opens.
        opens: Option<String> = text().beside(&["variable"]).optional(),
        /// The variable of that board that takes the label's value.
        variable: Option<String> = text().beside(&["opens"]).optional(),
        /// The address that a click opens, in Grafana's form.
        url: Option<String> = text().optional(),
        /// Not shown: used by the links of other labels.
        is_hidden as "hidden": bool = flag().or(false),
    }
}
