//! How to reach a server: connection strings and keys, checked and turned into settings.

pub mod dsn;
pub mod login;
pub mod postgres;
pub mod redis;
pub mod url;
