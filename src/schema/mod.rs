//! What people write: YAML with positions, the keys each map may have, and the problems found, each with its place.

pub mod fields;
pub mod files;
pub mod problem;
pub mod shape;
pub mod words;
pub mod yaml;
