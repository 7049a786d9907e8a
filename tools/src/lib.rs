//! What makes files of this repository, and is no part of the program: of boards as people write them, Grafana's dashboards.

pub mod board;
pub mod boards;
pub mod grafana;
