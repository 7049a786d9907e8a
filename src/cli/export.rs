//! `pgvigil export`: what is shipped inside the binary.

use std::{fs, path::PathBuf};

use anyhow::Context;
use clap::{Subcommand, ValueEnum};

use super::{Failure, print};
use crate::config::{catalogue, schema};

/// The SQL of the monitoring role.
const GRANTS: &str = include_str!("../grants.sql");

#[derive(Subcommand)]
pub enum What {
    /// The shipped collector files: written into a folder, or one of them printed
    Collectors {
        /// Write all files into this folder
        #[arg(long, value_name = "DIR", required_unless_present = "name", conflicts_with = "name")]
        dir: Option<PathBuf>,
        /// Print this collector's file
        name: Option<String>,
    },
    /// What editors need to complete, explain and check your files: a JSON Schema
    Schema {
        /// Of which file
        of: Written,
    },
    /// The SQL that makes a role with just the rights pgvigil needs
    Grants,
}

/// A kind of file that people write.
#[derive(Clone, Copy, ValueEnum)]
pub enum Written {
    Collector,
    Settings,
}

pub fn run(what: What) -> Result<(), Failure> {
    match what {
        What::Grants => print(GRANTS),
        What::Schema { of: Written::Collector } => print(&schema::collector()),
        What::Schema { of: Written::Settings } => print(&schema::settings()),
        What::Collectors { dir: Some(dir), .. } => {
            fs::create_dir_all(&dir).with_context(|| dir.display().to_string())?;
            for (file, text) in catalogue::shipped() {
                let path = dir.join(file);
                fs::write(&path, text).with_context(|| path.display().to_string())?;
            }
            Ok(())
        }
        What::Collectors { name, .. } => {
            let file = format!("{}.yaml", name.unwrap_or_default());
            match catalogue::shipped().find(|(name, _)| *name == file) {
                Some((_, text)) => print(text),
                None => {
                    let names: Vec<_> = catalogue::shipped().map(|(file, _)| file.trim_end_matches(".yaml")).collect();
                    Err(Failure::Usage(format!("no shipped collector file {file}; there are {}", names.join(", "))))
                }
            }
        }
    }
}
