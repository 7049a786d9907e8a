//! Turns connection strings and keys into checked settings of a connection.

pub mod dsn;
pub mod keys;
pub mod login;
pub mod model;
pub mod postgres;
pub mod problem;
pub mod redis;
pub mod tls;
pub mod url;
