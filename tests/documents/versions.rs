//! docs/versions.md.
