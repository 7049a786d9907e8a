//! Documents that are written from the collectors and from data files of the repository, and kept current; links and numbers that fit; settings that are accepted.

mod compatibility;
mod decisions;
mod keys;
mod links;
mod migrate;
mod promises;
mod shown;
mod summary;
mod versions;

/// The fenced blocks of a document: the word behind the fence, and the text.
pub fn blocks(document: &str) -> impl Iterator<Item = (&str, &str)> {
    document.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n'))
}
