//! Rows to families: which rows of a table make the samples of which metric. Pure; samples borrow from the table.

mod distinct;
mod layout;
mod mapped;
mod size;
#[cfg(test)]
mod tests;

pub use crate::map::mapped::{Family, Mapped, Sample, map, map_next};
pub use crate::map::size::Size;
