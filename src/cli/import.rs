//! `pgvigil import`: collectors from a postgres_exporter's file of queries.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::Args;

use crate::cli::run::print;
use crate::collector::catalogue::Catalogue;
use crate::import::{Imported, import};
use crate::schema::files;
use crate::schema::problem::Problems;

#[derive(Args)]
pub struct ImportArguments {
    /// The file of queries (queries.yaml)
    file: PathBuf,
    /// Write each collector into a file in this folder, instead of all to standard output
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

pub fn run(arguments: ImportArguments) -> anyhow::Result<()> {
    let text = files::read(&arguments.file).map_err(Problems::from)?;
    let imported = import(&arguments.file.to_string_lossy(), &text, &Catalogue::load(None)?)?;
    match &arguments.dir {
        Some(dir) => write(dir, &imported)?,
        None => print(&imported.as_text())?,
    }
    ensure!(!imported.files.is_empty(), "no collector came of {}", arguments.file.display());
    Ok(())
}

/// Writes all files or, if one is there already, none.
fn write(dir: &Path, imported: &Imported) -> anyhow::Result<()> {
    let path = |name: &str| dir.join(format!("{name}.yaml"));
    for path in imported.files.iter().map(|(name, _)| path(name)) {
        ensure!(!path.exists(), "{} is there already: move it, or name another folder", path.display());
    }
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    for (name, text) in &imported.files {
        let path = path(name);
        fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    let todo: usize = imported.files.iter().map(|(_, text)| text.matches("# TODO: ").count()).sum();
    let (files, dir) = (imported.files.len(), dir.display());
    let left_out: String = imported.left_out.iter().map(|line| format!("{line}\n")).collect();
    print(&format!(
        "{left_out}collectors: {files}, in {dir}; places to look at (`# TODO:`): {todo}\n\
         Next: pgvigil check --collectors {dir} --connect\n"
    ))
}
