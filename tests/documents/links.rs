//! Links of the documents: each leads to a file of the repository, and to a heading that is there.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// All Markdown files at the top and below `docs/`.
pub fn documents(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() && path.starts_with("./docs") {
            documents(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "md") {
            into.push(path);
        }
    }
}

/// Where the links of a text lead, code left out.
pub fn links(text: &str) -> impl Iterator<Item = &str> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split("](").skip(1).filter_map(|rest| rest.split([')', ' ']).next()))
}

/// A heading as it stands in an address.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn has_heading(file: &Path, wanted: &str) -> bool {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().any(|line| line.starts_with('#') && anchor(line) == wanted)
}

#[test]
fn every_link_leads_somewhere() {
    let mut files = Vec::new();
    documents(Path::new("."), &mut files);
    let mut lost = Vec::new();
    let mut count = 0;
    for file in &files {
        let text = fs::read_to_string(file).expect("a document");
        for link in links(&text).filter(|link| !link.contains("://") && !link.starts_with("mailto:")) {
            count += 1;
            let (path, heading) = link.split_once('#').map_or((link, None), |(path, heading)| (path, Some(heading)));
            let to = if path.is_empty() { file.clone() } else { file.with_file_name(path) };
            if !to.exists() || heading.is_some_and(|heading| !has_heading(&to, heading)) {
                lost.push(format!("{}: {link}", file.display()));
            }
        }
    }
    assert!(count > 100 && lost.is_empty(), "{count} links, of which lead nowhere:\n{}", lost.join("\n"));
}
