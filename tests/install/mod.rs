//! What installs pgvigil: the image, compose.yaml, the systemd unit, packages, completions, and what makes a release of them.

mod health;
mod shell;
