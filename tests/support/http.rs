//! The smallest HTTP client: one request on a connection of its own.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// An answer. A chunked body is put together; a compressed one is left as it came.
#[derive(Clone, Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of that name (in lower case).
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks `GET path` and reads to the end; nothing may take longer than 30 s.
pub fn get(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
    ask(address, "GET", path, headers)
}

/// The same with any method; there is no body.
pub fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)]) -> io::Result<Response> {
    exchange(connect(address)?, &address.to_string(), method, path, headers)
}

/// A connection on which nothing may take longer than 30 s.
pub fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let limit = Some(Duration::from_secs(30));
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(limit)?;
    stream.set_write_timeout(limit)?;
    Ok(stream)
}

/// One request on a connection that ends with it.
pub fn exchange(
    mut stream: impl Read + Write,
    host: &str,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> io::Result<Response> {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{headers}\r\n");
    // In one piece: a server may answer, and close, at the first.
    stream.write_all(request.as_bytes())?;
    stream.flush()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&answer, method == "HEAD").ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "no whole HTTP answer"))
}

/// The answer to a HEAD announces a body that does not come.
fn parse(answer: &[u8], is_head: bool) -> Option<Response> {
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&answer[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let header = |line: &str| line.split_once(':').map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()));
    let mut response =
        Response { status, headers: lines.filter_map(header).collect(), body: answer[end + 4..].to_vec() };
    if response.header("transfer-encoding") == Some("chunked") {
        response.body = unchunk(&response.body)?;
    }
    let announced = response.header("content-length").and_then(|length| length.parse().ok());
    let is_whole = announced.is_none_or(|length: usize| length == response.body.len() || is_head);
    is_whole.then_some(response)
}

/// Puts chunks together: each is its size in hexadecimal, a line end, the bytes, a line end; the last is empty.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|window| window == b"\r\n")?;
        let size = usize::from_str_radix(str::from_utf8(&rest[..line]).ok()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.extend(rest.get(line + 2..line + 2 + size)?);
        rest = rest.get(line + 4 + size..)?;
    }
}
