//! Sends one request to a web server: for the objects of a bucket, or the health of a pgvigil.

use std::error::Error;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::http::uri::PathAndQuery;
use hyper::rt::{Read, Write};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::io::{self, AsyncReadExt};

use crate::settings::connection::model::{Address, TlsSettings};
use crate::source::blocking_pool::BlockingPool;
use crate::source::net::dial;

/// The address of a web server, and a path on it.
#[derive(Debug)]
pub struct HttpAddress {
    pub address: Address,
    /// Its scheme is `https`.
    pub is_encrypted: bool,
    /// As the header `Host` has it.
    pub host: String,
    /// Begins with a slash, or is empty.
    pub path: String,
}

impl HttpAddress {
    /// Reads `http://host:port/path`, the same with `https`, or `unix:/socket`. `None`: it is another URL, or names a
    /// user.
    pub fn parse(url: &str) -> Option<HttpAddress> {
        if let Some(socket) = url.strip_prefix("unix:") {
            let (address, host) = (Address::Unix(socket.into()), "localhost".to_owned());
            return Some(HttpAddress { address, is_encrypted: false, host, path: String::new() });
        }
        let uri: Uri = url.parse().ok()?;
        let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
        let standard = match scheme {
            "https" => 443,
            "http" => 80,
            _ => return None,
        };
        let (name, whole) = (authority.host(), authority.as_str());
        // A user would stand before the name. A malformed port behind it is refused, not ignored.
        let port = match whole.strip_prefix(name)? {
            "" => standard,
            after => after.strip_prefix(':')?.parse().ok()?,
        };
        let path = match uri.path_and_query().map_or("/", PathAndQuery::as_str) {
            "/" if !url.ends_with('/') => "",
            path => path,
        };
        if name.is_empty() || !path.is_empty() && !path.starts_with('/') {
            return None;
        }
        Some(HttpAddress {
            address: Address::Tcp { host: name.trim_matches(['[', ']']).to_owned(), port },
            is_encrypted: scheme == "https",
            host: whole.to_owned(),
            path: path.to_owned(),
        })
    }
}

/// How many bytes an answer may have besides its body: its head, and heads of interim answers, which could come without
/// end.
const HEADS: usize = 1 << 20;

/// Asks once, and reads a body of at most `limit` bytes. `tls` is how to encrypt, if the address is encrypted.
///
/// # Errors
/// A message: no connection, no answer, or one that is too long.
pub async fn ask(
    place: &HttpAddress,
    tls: &TlsSettings,
    request: Request<Empty<Bytes>>,
    limit: usize,
) -> Result<Response<Bytes>, String> {
    let tls = place.is_encrypted.then_some(tls);
    let connected = dial::direct(&place.address, tls, &BlockingPool::default()).await;
    let (from, to) = io::split(connected.map_err(|error| error.message.to_string())?.socket);
    // A body in pieces is a little longer.
    let from = from.take((2 * limit + HEADS) as u64);
    let answer = exchange(TokioIo::new(io::join(from, to)), request, limit).await;
    answer.map_err(|error| error.to_string())
}

async fn exchange(
    io: impl Read + Write + Unpin,
    request: Request<Empty<Bytes>>,
    limit: usize,
) -> Result<Response<Bytes>, Box<dyn Error + Send + Sync>> {
    let (mut sender, connection) = http1::handshake(io).await?;
    let answer = async {
        let (head, body) = sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, limit).collect().await?;
        Ok(Response::from_parts(head, body.to_bytes()))
    };
    tokio::pin!(answer);
    // The connection ends before the answer only by failing.
    tokio::select! {
        answer = &mut answer => answer,
        _ = connection => answer.await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_strictly() {
        for (url, expected) in [
            ("http://example.com", Some(("example.com", 80, "example.com", ""))),
            ("https://example.com", Some(("example.com", 443, "example.com", ""))),
            ("https://example.com/", Some(("example.com", 443, "example.com", "/"))),
            ("http://example.com:9000/a/b", Some(("example.com", 9000, "example.com:9000", "/a/b"))),
            ("http://127.0.0.1:9878/healthz?x=1", Some(("127.0.0.1", 9878, "127.0.0.1:9878", "/healthz?x=1"))),
            ("https://[::1]", Some(("::1", 443, "[::1]", ""))),
            ("https://[fe80::1]:9000/", Some(("fe80::1", 9000, "[fe80::1]:9000", "/"))),
            ("http://user@example.com", None),
            ("http://user:secret@example.com:9000/", None),
            ("http://user:secret@[::1]:9000/", None),
            ("http://example.com:", None),
            ("http://example.com:x", None),
            ("http://example.com:65536", None),
            ("http://example.com:-1", None),
            ("http://[::1", None),
            ("http://[::1]9000", None),
            ("http://:9000", None),
            ("http:///path", None),
            ("http://", None),
            ("http://exa mple.com", None),
            ("http://example.com/a b", None),
            ("http://example.com?x", None),
            ("ftp://example.com", None),
            ("example.com", None),
            ("example.com:80", None),
            ("/path", None),
            ("*", None),
            ("", None),
        ] {
            let place = HttpAddress::parse(url);
            let address = |host: &str, port| Address::Tcp { host: host.to_owned(), port };
            let read = place.as_ref().map(|place| (&place.address, place.host.as_str(), place.path.as_str()));
            let expected = expected.map(|(name, port, host, path)| (address(name, port), host, path));
            assert_eq!(read, expected.as_ref().map(|(address, host, path)| (address, *host, *path)), "{url}");
            assert!(place.is_none_or(|place| place.is_encrypted == url.starts_with("https")), "{url}");
        }
        let socket = HttpAddress::parse("unix:/run/pgvigil.sock").expect("a socket");
        assert_eq!((socket.address, socket.path.as_str()), (Address::Unix("/run/pgvigil.sock".into()), ""));
    }
}
