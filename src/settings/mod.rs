//! The settings, validated: which targets to watch, and how.

pub mod backup;
pub mod connection;
pub mod disk;
pub mod env;
pub mod interpolate;
pub mod load;
pub mod probe;
pub mod targets;
pub mod thresholds;
pub mod web;

pub use crate::settings::backup::{
    BackupSettings, DocumentPart, DocumentSource, FilesSettings, RepositorySettings, S3, Tool,
};
pub use crate::settings::disk::{DiskSettings, NamedPath};
pub use crate::settings::load::{Override, Settings};
pub use crate::settings::targets::{Endpoint, RowLimits, TargetSettings, Threshold};
