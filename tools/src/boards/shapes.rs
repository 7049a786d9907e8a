//! The keys of a board file, and of the file of what all boards share.

use pgvigil::schema::{
    shape::{Is, Shape, key},
    words,
};

use crate::board::Kind;

/// The width of a board.
pub const COLUMNS: u32 = 24;

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

const KIND_WORDS: [&str; KINDS.len()] = words::of(&KINDS);

const NAMES: Is = Is::List(0, &Is::Text);

pub const BOARD: Shape = Shape {
    what: "a board",
    needs: &[
        key("board", Is::Form(words::SNAKE), "The board's name: that of the file without `.yaml`."),
        key("uid", Is::Text, "What links name it by, at most 40 characters; it never changes."),
        key("title", Is::Text, "What it is called."),
        key("variables", NAMES, "What its reader chooses, of the shared variables."),
        key("annotations", NAMES, "Which of the shared annotations its graphs have."),
        key("rows", Is::List(1, &Is::Map(&ROW)), "Panels under headings; the first answers, the others explain."),
    ],
    may: &[],
    quiet: false,
};

pub const ROW: Shape = Shape {
    what: "a row",
    needs: &[
        key("title", Is::Text, "The question it answers."),
        key("panels", Is::List(1, &Is::Map(&PANEL)), "Its panels, from left to right and on."),
    ],
    may: &[],
    quiet: false,
};

pub const PANEL: Shape = Shape {
    what: "a panel",
    needs: &[
        key("title", Is::Text, "What it shows."),
        key("about", Is::Text, "What its values mean, what to do about them, and why there may be none."),
        key("kind", Is::Word(&KIND_WORDS), "How it shows its values."),
        key("unit", Is::Text, "Grafana's id of the unit."),
        key("queries", Is::List(1, &Is::Map(&QUERY)), "What it asks."),
    ],
    may: &[
        key("width", Is::Whole(1, COLUMNS as usize), "In twenty-fourths of the board."),
        key("height", Is::Whole(1, 40), "In units of 30 pixels."),
        key("states", Is::Text, "What values mean: one of the shared sets of states."),
        key("above", Is::Text, "A threshold to draw; the alert is for values above it."),
        key("below", Is::Text, "A threshold to draw; the alert is for values below it."),
        key("columns", Is::List(1, &Is::Map(&COLUMN)), "Of a table: the labels shown."),
        key("worst", Is::Text, "Of a table: the legend of the query it is sorted by."),
        key("empty", Is::Text, "Shown instead of nothing."),
        key("max", Is::Number, "The most the value can be."),
        key("bad", Is::Number, "From this value on it is bad, below it good."),
        key("opens", NAMES, "Uids of boards that say more."),
        key(
            "top",
            Is::Whole(1, 100),
            "How many rows of a table, or lines of each query, are kept where there are more.",
        ),
        key("restless", Is::Flag, "Of lines those are kept that changed most, not those that were highest."),
        key("rows", NAMES, "Of a table: the labels that tell its rows apart. Then rows are kept by `rank`."),
        key("rank", Is::Text, "Of a table: PromQL by which rows are kept, the highest; if absent, the query `worst`."),
    ],
    quiet: false,
};

pub const QUERY: Shape = Shape {
    what: "a query",
    needs: &[
        key("expr", Is::Text, "PromQL; `@name@` is one of the shared selectors."),
        key("legend", Is::Text, "What its series are called, or its column in a table."),
    ],
    may: &[
        key("above", Is::Text, "A threshold: the query gives 0, above the warning 1, above the critical one 2."),
        key("below", Is::Text, "The same for values below it."),
        key("by", NAMES, "With `above` or `below`: the labels that are kept; of the others the worst counts."),
        key("unit", Is::Text, "In a table, where it differs from the panel's."),
        key("states", Is::Text, "In a table, what its values mean."),
        key("hidden", Is::Flag, "In a table: its labels are wanted, and not its value."),
        key("dashed", Is::Flag, "Drawn dashed: it is of another time than now."),
        key(
            "leads",
            NAMES,
            "Of alerts: the labels that are kept, with `about`, `board` and `variable` among those there are.",
        ),
    ],
    quiet: false,
};

pub const COLUMN: Shape = Shape {
    what: "a column",
    needs: &[key("label", Is::Text, "The label."), key("title", Is::Text, "What it is called.")],
    may: &[
        key("opens", Is::Text, "The uid of the board that a click leads to."),
        key("variable", Is::Text, "Which of its variables takes the label's value."),
        key("url", Is::Text, "Where a click leads, as Grafana writes it."),
        key("hidden", Is::Flag, "Not shown: there for the links of others."),
    ],
    quiet: false,
};

pub const SHARED: Shape = Shape {
    what: "the file of what boards share",
    needs: &[
        key("selectors", Is::Entries(1, words::SNAKE, &Is::Text), "What `@name@` stands for in an expression."),
        key("variables", Is::Entries(1, words::SNAKE, &Is::Map(&VARIABLE)), "What readers choose."),
        key("annotations", Is::Entries(1, words::SNAKE, &Is::Map(&ANNOTATION)), "Events."),
        key("states", Is::Entries(1, words::SNAKE, &Is::List(1, &Is::Map(&STATE))), "Sets of what values mean."),
        key("threshold", Is::Text, "A threshold's series; `@selector@`, `@name@`, `@severity@` are put in."),
        key("few", NAMES, "Labels of few values: what is by these alone is never too many lines."),
        key("objects", NAMES, "Labels that say what of a target an alert is about."),
    ],
    may: &[],
    quiet: false,
};

pub const VARIABLE: Shape = Shape {
    what: "a variable",
    needs: &[
        key("name", Is::Form(words::SNAKE), "Its name in expressions and links."),
        key("label", Is::Text, "What it is called."),
        key("query", Is::Text, "Where the choices come from."),
        key("all", Is::Text, "The regular expression that stands for all."),
    ],
    may: &[],
    quiet: false,
};

pub const ANNOTATION: Shape = Shape {
    what: "an annotation",
    needs: &[
        key("title", Is::Text, "What it is called."),
        key("expr", Is::Text, "PromQL; `@name@` is one of the selectors."),
        key("text", Is::Text, "What is said of an event."),
        key("color", Is::Text, "Its color."),
    ],
    may: &[
        key("value_is_time", Is::Flag, "The value is when it happened, in milliseconds."),
        key("off", Is::Flag, "Not drawn until the reader switches it on."),
    ],
    quiet: false,
};

pub const STATE: Shape = Shape {
    what: "a state",
    needs: &[
        key("value", Is::Text, "The value."),
        key("says", Is::Text, "What it means."),
        key("color", Is::Text, "Its color."),
    ],
    may: &[],
    quiet: false,
};
