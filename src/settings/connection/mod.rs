//! How to reach a server: connection strings and keys, checked and turned into settings.

pub mod dsn;
pub mod keys;
pub mod login;
pub mod model;
pub mod postgres;
pub mod problem;
pub mod redis;
pub mod tls;
pub mod url;
