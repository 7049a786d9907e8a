//! YAML -> validated Boards. Every problem of every file is told, each with its place.

mod leads;
mod most;
mod pace;
mod panel;
mod shapes;
mod shared;
mod thresholds;

use include_dir::{Dir, include_dir};

pub use self::shapes::COLUMNS;
use self::{
    leads::Leads,
    pace::Pace,
    panel::panel,
    shapes::{BOARD, ROW},
    shared::Shared,
};
use super::{
    board::{Board, Row},
    catalogue::Catalogue,
    fields::Fields,
    files, load,
    problem::{Place, Problems},
    words,
    yaml::{self, Node},
};

/// The boards that are shipped, and what they share. What is made of them lies beside the folder, and not in the binary.
static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/dashboards/boards");

/// Beside the boards: what they share.
const SHARED_FILE: &str = "shared.yaml";

/// The longest uid that Grafana takes.
const MAX_UID: usize = 40;

/// What is known beside a board's own file.
struct Known {
    shared: Shared,
    pace: Pace,
    leads: Leads,
}

/// The shipped boards, by name.
///
/// # Errors
/// What is wrong with their files.
pub fn shipped() -> Result<Vec<Board>, Problems> {
    let text = |file: &'static include_dir::File<'_>| Some((file.path().to_str()?, file.contents_utf8()?));
    let files = EMBEDDED.files().filter(|file| files::is_yaml(file.path())).filter_map(text);
    let (shared, boards): (Vec<_>, Vec<_>) = files.partition(|(name, _)| *name == SHARED_FILE);
    from_files(shared.first().map_or("", |(_, text)| text), boards, &Catalogue::load(None)?)
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
    let Some(shared) = Shared::read(&in_folder(SHARED_FILE), shared, &mut problems) else {
        return Err(problems.and(Problems::default()));
    };
    let known = Known { shared, pace: Pace::of(catalogue), leads: Leads::shipped(&mut problems) };
    let mut boards: Vec<Board> =
        files.into_iter().filter_map(|(name, text)| board(name, text, &known, &mut problems)).collect();
    boards.sort_by(|a, b| a.name.cmp(&b.name));
    problems.unless_any(boards)
}

fn in_folder(name: &str) -> String {
    format!("dashboards/boards/{name}")
}

fn board(file: &str, text: &str, known: &Known, problems: &mut Problems) -> Option<Board> {
    let shared = &known.shared;
    let root = yaml::parse(&in_folder(file), text, problems)?;
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
