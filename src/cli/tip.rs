//! A hint for an unexpected word on the command line, which is usually a file or a folder that needs an option.

use std::ffi::OsString;

use clap::Command;
use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

/// Adds the hint to clap's error about this command line.
pub fn add(error: &mut clap::Error, program: &Command, words: &[OsString]) {
    let (kind, is_path): (_, fn(&str) -> bool) = match error.kind() {
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, |word| !word.starts_with('-')),
        // Any other word is a misspelt command.
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, |word| word.contains(['.', '/'])),
        _ => return,
    };
    let Some(ContextValue::String(word)) = error.get(kind).cloned() else { return };
    if is_path(&word)
        && let Some(tip) = tip(command(program, words), &word)
    {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    }
}

/// The command that the command line selects.
fn command<'a>(program: &'a Command, words: &[OsString]) -> &'a Command {
    words.iter().skip(1).fold(program, |command, word| command.find_subcommand(word).unwrap_or(command))
}

fn tip(command: &Command, word: &str) -> Option<String> {
    let has = |option| command.get_arguments().any(|argument| argument.get_long() == Some(option));
    if has("config") {
        Some(format!("a settings file is given as '--config {word}'"))
    } else if has("dir") {
        Some(format!("'--dir {word}' writes files into a folder"))
    } else if command.has_subcommands() {
        None
    } else {
        Some(format!("the output goes to stdout: write it to a file with '> {word}'"))
    }
}
