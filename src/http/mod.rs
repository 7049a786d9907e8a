//! The HTTP server: listeners, connections and their limits, paths, bodies.

mod auth;
mod body_budget;
mod connections;
mod landing;
pub mod listen;
pub mod negotiate;
mod response;
mod routes;
mod server;
mod watched_stream;

pub use crate::http::routes::App;
pub use crate::http::server::serve;
