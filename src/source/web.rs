//! One request to a web server, over the dialler: the objects of a bucket, the health of a pgvigil.

use http_body_util::{BodyExt, Empty, Limited};
use hyper::{Request, StatusCode, body::Bytes, client::conn::http1};
use hyper_util::rt::TokioIo;

use super::dial;
use crate::config::settings::{Address, Tls};

/// Where a web server is, and what of it is meant.
#[derive(Debug)]
pub struct Place {
    pub address: Address,
    /// Its scheme is `https`.
    pub is_encrypted: bool,
    /// As the header `Host` has it.
    pub host: String,
    /// Begins with a slash, or is empty.
    pub path: String,
}

impl Place {
    /// Reads `http://host:port/path`, the same with `https`, or `unix:/socket`. `None`: it is none of them, or names a user.
    pub fn parse(url: &str) -> Option<Place> {
        if let Some(socket) = url.strip_prefix("unix:") {
            let address = Address::Unix(socket.into());
            return Some(Place { address, is_encrypted: false, host: "localhost".to_owned(), path: String::new() });
        }
        let (scheme, rest) = url.split_once("://")?;
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let standard = match scheme {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        let (name, port) = match host.rsplit_once(':') {
            Some((name, port)) if !port.ends_with(']') => (name, port.parse().ok()?),
            _ => (host, standard),
        };
        if name.is_empty() || name.contains('@') {
            return None;
        }
        Some(Place {
            address: Address::Tcp { host: name.trim_matches(['[', ']']).to_owned(), port },
            is_encrypted: scheme == "https",
            host: host.to_owned(),
            path: path.to_owned(),
        })
    }
}

/// Asks once, and reads a body of at most `limit` bytes. `tls` is how to encrypt, where that is asked for.
///
/// # Errors
/// In words: no connection, no answer, or one that is too long.
pub async fn ask(
    place: &Place,
    tls: &Tls,
    request: Request<Empty<Bytes>>,
    limit: usize,
) -> Result<(StatusCode, Bytes), String> {
    let socket = dial::direct(&place.address, place.is_encrypted.then_some(tls))
        .await
        .map_err(|error| error.message.to_string())?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await.map_err(|error| error.to_string())?;
    let answer = async {
        let answer = sender.send_request(request).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), limit).collect().await.map_err(|error| error.to_string())?;
        Ok((status, body.to_bytes()))
    };
    tokio::pin!(answer);
    // Whoever ends first: the connection alone ends only by failing.
    tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}
