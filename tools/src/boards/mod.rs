//! YAML -> validated Boards. All problems of all files are reported, each with its place.

mod leads;
mod most;
mod pace;
mod panel;
mod shared;
mod thresholds;

use std::path::Path;

use pgvigil::collector::catalogue::Catalogue;
use pgvigil::collector::load;
use pgvigil::declare;
use pgvigil::schema::problem::Problems;
use pgvigil::schema::reader::{Placed, Reader};
use pgvigil::schema::values::{list, map, snake, text};
use pgvigil::schema::{files, yaml};

use self::leads::Leads;
use self::pace::Pace;
use self::panel::PanelKeys;
use self::shared::Shared;
use crate::board::{Board, Row};

/// The folder of the boards' files, relative to the repository.
pub const FOLDER: &str = "dashboards/boards";

/// The file beside the boards with what they share, without the ending of its name.
const SHARED: &str = "shared";

/// The longest uid that Grafana takes.
const MAX_UID: usize = 40;

/// What is known beside a board's own file.
struct Known {
    shared: Shared,
    pace: Pace,
    leads: Leads,
}

/// The boards of this repository, which must be the current folder, sorted by name. Their metrics are those of the shipped collectors.
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

/// Boards from what they share, pairs of a file's name and its text, and a catalogue of metrics.
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
        return Err(problems);
    };
    let known = Known { shared, pace: Pace::of(catalogue), leads: Leads::shipped(&mut problems) };
    let mut boards: Vec<Board> =
        files.into_iter().filter_map(|(name, text)| board(name, text, &known, &mut problems)).collect();
    boards.sort_by(|a, b| a.name.cmp(&b.name));
    problems.unless_any(boards)
}

declare! {
    pub struct BoardKeys: "a board" {
        /// The board's name: that of the file without `.yaml`.
        board: Option<String> = snake().tolerant(),
        /// What links name it by, at most 40 characters; it never changes.
        uid: Option<String> = text()
            .refuse_if("Grafana takes no uid of more than 40 characters: shorten it", |uid| uid.len() > MAX_UID)
            .tolerant(),
        /// What it is called.
        title: Option<String> = text().tolerant(),
        /// What its reader chooses, of the shared variables.
        variables: Vec<Placed<String>> = list(text().placed()),
        /// Which of the shared annotations its graphs have.
        annotations: Vec<Placed<String>> = list(text().placed()),
        /// Panels under headings; the first answers, the others explain.
        rows: Vec<RowKeys> = list(map()),
    }
}

declare! {
    pub struct RowKeys: "a row" {
        /// The question it answers.
        title: String = text(),
        /// Its panels, from left to right and on.
        panels: Vec<Placed<PanelKeys>> = list(map().placed()),
    }
}

fn board(file: &str, text: &str, known: &Known, problems: &mut Problems) -> Option<Board> {
    let root = yaml::parse(file, text, problems)?;
    let reader = &mut Reader::new(problems);
    let keys: BoardKeys = map().read(&root, "the file", reader)?;
    if keys.board.as_ref().is_some_and(|name| *name != files::stem(file.as_ref())) {
        reader.refuse(&root, "board", "it must be the same as the file's name without `.yaml`");
    }
    let problems = &mut *reader.problems;
    let variables = keys.variables.iter().filter_map(|name| known.shared.variable(name, problems)).collect();
    let annotations = keys.annotations.iter().filter_map(|name| known.shared.annotation(name, problems)).collect();
    let mut rows = Vec::new();
    for row in keys.rows {
        let panels =
            row.panels.into_iter().filter_map(|panel| panel.value.panel(&panel.place, known, problems)).collect();
        rows.push(Row { title: row.title, panels });
    }
    let about = load::about(text).replace('\n', " ");
    Some(Board { name: keys.board?, uid: keys.uid?, title: keys.title?, about, variables, annotations, rows })
}
