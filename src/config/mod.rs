//! Configuration: what was written (YAML with positions) and what it means (validated settings and collectors).
//!
//! All problems of all files are told at once, each with its place; nothing here panics, whatever is read.

pub mod alert_rules;
mod backup;
pub mod catalogue;
pub mod collector;
pub mod dashboards;
mod disk;
pub mod dsn;
pub mod endpoint;
pub mod env;
pub mod expand;
pub mod fields;
pub mod files;
mod given;
pub mod load;
pub mod login;
pub mod probe;
pub mod problem;
pub mod redis;
mod repositories;
mod rules;
pub mod schema;
pub mod sections;
pub mod settings;
pub mod shape;
mod targets;
pub mod thresholds;
mod url;
pub mod web;
pub mod words;
mod written;
pub mod yaml;
