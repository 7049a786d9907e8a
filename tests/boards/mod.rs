//! The shipped dashboards: what Grafana imports is what is written, speaks of what there is, and answers on a live stack.

mod asked;
mod contract;
mod covered;
mod current;
pub mod files;
mod fleet;
mod live;
mod paced;
mod stack;
