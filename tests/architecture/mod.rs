//! The invariants of ARCHITECTURE.md, checked on the sources.

mod crates;
mod ignored;
mod metrics;
mod rooms;
mod size;
mod words;

use std::{
    fs,
    path::{Path, PathBuf},
};

use syn::{
    Attribute, Item, Meta,
    visit::{self, Visit},
};

/// A file of the program, under src/, or of what is only for its development, under tools/src/.
struct Source {
    /// Without `src/`: `map/layout.rs`, `tools/board.rs`.
    path: String,
    text: String,
}

impl Source {
    fn read(path: &Path) -> Self {
        let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Source { path: path.to_string_lossy().replacen("src/", "", 1), text }
    }

    /// What it says, without what is compiled for tests only.
    fn tree(&self) -> syn::File {
        let mut tree = syn::parse_file(&self.text).unwrap_or_else(|error| panic!("{}: {error}", self.path));
        tree.items.retain(|item| !is_for_tests(item));
        tree
    }

    /// A file that only tests use; the rules for the program do not apply to it.
    fn is_test(&self) -> bool {
        self.path.contains("/tests") || self.path.ends_with("/fixture.rs")
    }

    /// Whether it is in one of the rooms: beginnings of paths, separated by spaces.
    fn is_in(&self, rooms: &str) -> bool {
        rooms.split(' ').any(|room| self.path.starts_with(room))
    }
}

fn is_for_tests(item: &Item) -> bool {
    let attributes: &[Attribute] = match item {
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    };
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::List(list) => list.path.is_ident("cfg") && list.tokens.to_string() == "test",
        _ => false,
    })
}

/// Runs a check on every file and reports everything that it finds wrong.
fn each(check: impl Fn(&Source, &mut Vec<String>)) {
    let mut wrong = Vec::new();
    sources().iter().for_each(|source| check(source, &mut wrong));
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

fn sources() -> Vec<Source> {
    let files = ["src", "tools/src"].iter().flat_map(|folder| rust_files(Path::new(folder)));
    let sources: Vec<_> = files.map(|path| Source::read(&path)).collect();
    assert!(sources.len() > 40, "found {} files", sources.len());
    sources
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    let (folders, mut files): (Vec<_>, Vec<_>) = entries.partition(|path| path.is_dir());
    files.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    files.extend(folders.iter().flat_map(|folder| rust_files(folder)));
    files.sort();
    files
}

/// Whether a word occurs in a text, not as a part of another word.
fn mentions(text: &str, word: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(is_word) && !text[at + word.len()..].starts_with(is_word))
}

/// The text without comments and without the unit tests at its end.
fn code(text: &str) -> String {
    let program = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    program.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

/// The names of all types that a file defines, functions included.
#[derive(Default)]
struct TypeNames(Vec<String>);

impl<'ast> Visit<'ast> for TypeNames {
    fn visit_item(&mut self, item: &'ast Item) {
        let name = match item {
            Item::Enum(item) => Some(&item.ident),
            Item::Struct(item) => Some(&item.ident),
            Item::Trait(item) => Some(&item.ident),
            Item::Type(item) => Some(&item.ident),
            Item::Union(item) => Some(&item.ident),
            _ => None,
        };
        self.0.extend(name.map(ToString::to_string));
        visit::visit_item(self, item);
    }

    /// What our declaring macros make is not parsed: in their words, a type's name follows `struct` or `enum`, or stands in `: Name {`.
    fn visit_macro(&mut self, item: &'ast syn::Macro) {
        let text = item.tokens.to_string();
        let words: Vec<_> = text.split_whitespace().collect();
        let is_name = |words: &&[&str]| ["struct", "enum"].contains(&words[0]) || words[0] == ":" && words[2] == "{";
        let names = words.windows(3).filter(is_name).map(|words| words[1].to_owned());
        self.0.extend(names.filter(|name| name.starts_with(char::is_uppercase)));
    }
}
