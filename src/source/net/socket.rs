//! A connected socket of any kind, and what is known of the peer behind it.

use std::io;
use std::sync::Arc;
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::source::net::login_guard::TransportSecurity;

/// TCP or Unix, in clear or under TLS.
pub trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

/// A socket that the dialler has connected.
pub struct PeerSocket {
    pub socket: Box<dyn Socket>,
    pub security: TransportSecurity,
    /// Why it is not encrypted although encryption was preferred.
    pub fallback: Option<Arc<str>>,
    /// The server's end of the connection (`tls-server-end-point`), to which SCRAM binds a login.
    pub end_point: Option<Vec<u8>>,
    /// When the server's certificate expires.
    pub expires: Option<SystemTime>,
}

/// The peer breaks its protocol or a limit.
pub fn protocol_error(message: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, message.into())
}
