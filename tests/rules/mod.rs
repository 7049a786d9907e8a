//! The shipped rules: each alert is seen to fire, with its labels and words, and to stay silent when only just nothing is wrong.

mod cases;
mod contract;
mod day;
mod examples;
mod export;
pub mod files;
mod fire;
pub mod known;
mod muted;
mod pages;
mod past;
mod pint;
mod quiet;
mod recording;
mod roles;
mod runbooks;
mod scraped;
mod systems;
mod table;
pub mod used;
mod zoo;
