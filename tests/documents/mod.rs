//! Documents that are written from the collectors and from data files of the repository, and kept current.

mod compatibility;
mod links;
mod versions;
