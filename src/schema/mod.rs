//! What people write: YAML with positions, the keys each map may have, and the problems found, each with its place.

pub mod declare;
pub mod files;
pub mod form;
pub mod json;
pub mod problem;
pub mod reader;
pub mod values;
pub mod words;
pub mod yaml;
