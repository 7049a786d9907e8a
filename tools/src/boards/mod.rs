//! YAML -> validated Boards. Every problem of every file is told, each with its place.

mod leads;
mod most;
mod pace;
mod panel;
mod shapes;
mod shared;
mod thresholds;

use std::path::Path;

use pgvigil::{
    collector::{catalogue::Catalogue, load},
    schema::{
        fields::Fields,
        files,
        problem::{Place, Problems},
        words, yaml,
        yaml::Node,
    },
};

pub use self::shapes::COLUMNS;
use self::{
    leads::Leads,
    pace::Pace,
    panel::panel,
    shapes::{BOARD, ROW},
    shared::Shared,
};
use crate::board::{Board, Row};

/// Where boards are written, from the repository's folder on.
pub const FOLDER: &str = "dashboards/boards";

/// Beside the boards, without the ending of its name: what they share.
const SHARED: &str = "shared";

/// The longest uid that Grafana takes.
const MAX_UID: usize = 40;

/// What is known beside a board's own file.
struct Known {
    shared: Shared,
    pace: Pace,
    leads: Leads,
}

/// The boards that are written in this repository, which is the current folder, by name; of the shipped collectors' metrics.
///
/// # Errors
/// What is wrong with their files.
pub fn written() -> Result<Vec<Board>, Problems> {
    let mut problems = Problems::default();
    let mut files = files::read_folder(Path::new(FOLDER), &mut problems);
    problems.unless_any(())?;
    let (_, shared) = files.remove(SHARED).unwrap_or_default();
    let boards = files.values().map(|(file, text)| (file.as_str(), text.as_str()));
    from_files(&shared, boards, &Catalogue::load(None)?)
}

/// Boards from what they share, and pairs of a file's name and its text; of metrics of a catalogue.
///
/// # Errors
/// All problems of all files.
pub fn from_files<'a>(
    shared: &str,
    files: impl IntoIterator<Item = (&'a str, &'a str)>,
    catalogue: &Catalogue,
) -> Result<Vec<Board>, Problems> {
    let mut problems = Problems::default();
    let Some(shared) = Shared::read(&format!("{FOLDER}/{SHARED}.yaml"), shared, &mut problems) else {
        return Err(problems.and(Problems::default()));
    };
    let known = Known { shared, pace: Pace::of(catalogue), leads: Leads::shipped(&mut problems) };
    let mut boards: Vec<Board> =
        files.into_iter().filter_map(|(name, text)| board(name, text, &known, &mut problems)).collect();
    boards.sort_by(|a, b| a.name.cmp(&b.name));
    problems.unless_any(boards)
}

fn board(file: &str, text: &str, known: &Known, problems: &mut Problems) -> Option<Board> {
    let shared = &known.shared;
    let root = yaml::parse(file, text, problems)?;
    let mut fields = Fields::open(&root, &BOARD, problems)?;
    let name = fields.checked("board", words::snake);
    if name.as_ref().is_some_and(|name| *name != files::stem(file.as_ref())) {
        fields.tell("board", "it must be the same as the file's name without `.yaml`");
    }
    let uid = fields.text("uid");
    if uid.as_ref().is_some_and(|uid| uid.len() > MAX_UID) {
        fields.tell("uid", "Grafana takes no uid of more than 40 characters: shorten it");
    }
    let title = fields.text("title");
    let variables = named(&mut fields, "variables", |name, place, problems| shared.variable(name, place, problems));
    let annotations =
        named(&mut fields, "annotations", |name, place, problems| shared.annotation(name, place, problems));
    let rows = fields.each("rows", |node, problems| row(node, known, problems));
    let about = load::about(text).replace('\n', " ");
    Some(Board { name: name?, uid: uid?, title: title?, about, variables, annotations, rows })
}

/// The shared things that a list names.
fn named<T>(fields: &mut Fields<'_, '_>, key: &str, get: impl Fn(&str, &Place, &mut Problems) -> Option<T>) -> Vec<T> {
    let names = fields.texts(key);
    names.iter().filter_map(|(name, place)| get(name, place, fields.problems)).collect()
}

fn row(node: &Node, known: &Known, problems: &mut Problems) -> Option<Row> {
    let mut fields = Fields::open(node, &ROW, problems)?;
    let title = fields.text("title");
    let panels = fields.each("panels", |node, problems| panel(node, known, problems));
    Some(Row { title: title?, panels })
}
