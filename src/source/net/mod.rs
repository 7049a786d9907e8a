//! Connects to servers: dialling, TLS, checks of what peers send, limits on sessions, and one HTTP client.

pub mod dial;
pub mod http_client;
pub mod login_guard;
pub mod session_limit;
pub mod socket;
pub mod stranger;
pub mod stream;
pub mod tls;
