//! A hint for a word that clap does not expect: it is mostly a file or a folder, which needs an option.

use std::ffi::OsString;

use clap::{
    Command,
    builder::StyledStr,
    error::{ContextKind, ContextValue, ErrorKind},
};

/// Adds the hint to clap's error about these words.
pub fn add(error: &mut clap::Error, program: &Command, words: &[OsString]) {
    let (kind, is_path): (_, fn(&str) -> bool) = match error.kind() {
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, |word| !word.starts_with('-')),
        // Anything else is a misspelt command.
        ErrorKind::InvalidSubcommand => (ContextKind::InvalidSubcommand, |word| word.contains(['.', '/'])),
        _ => return,
    };
    let Some(ContextValue::String(word)) = error.get(kind).cloned() else { return };
    let tip = Some(&word).filter(|word| is_path(word)).and_then(|word| of(command(program, words), word));
    if let Some(tip) = tip {
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(vec![StyledStr::from(tip)]));
    }
}

/// The command that the words select.
fn command<'a>(program: &'a Command, words: &[OsString]) -> &'a Command {
    words.iter().skip(1).fold(program, |command, word| command.find_subcommand(word).unwrap_or(command))
}

fn of(command: &Command, word: &str) -> Option<String> {
    let has = |option| command.get_arguments().any(|argument| argument.get_long() == Some(option));
    match (has("config"), has("dir"), command.has_subcommands()) {
        (true, ..) => Some(format!("a settings file is given as '--config {word}'")),
        (_, true, _) => Some(format!("'--dir {word}' writes files into a folder")),
        (.., true) => None,
        _ => Some(format!("the output goes to stdout: write it to a file with '> {word}'")),
    }
}
