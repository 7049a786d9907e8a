//! Documents that are written from the collectors and from data files of the repository, and kept current; links and numbers that fit; settings that are accepted.

mod compatibility;
mod keys;
mod links;
mod promises;
mod shown;
mod summary;
mod versions;
