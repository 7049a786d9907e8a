//! Compiles files of this repository from what people write: Grafana's dashboards from boards. Not part of the program.

pub mod board;
pub mod boards;
pub mod grafana;
