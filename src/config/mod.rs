//! Configuration: what was written (YAML with positions) and what it means (validated settings and collectors).
//!
//! All problems of all files are told at once, each with its place; nothing here panics, whatever is read.

pub mod catalogue;
pub mod collector;
mod fields;
mod load;
pub mod problem;
mod rules;
pub mod settings;
mod words;
mod yaml;
