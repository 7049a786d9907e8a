//! Listens on addresses, on unix sockets, and on sockets that systemd has opened for us.

use std::fs::{self, Metadata, Permissions};
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::{self};
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fmt, io};

pub use listenfd::ListenFd as Passed;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// The word in `--listen` for sockets from systemd.
const SYSTEMD: &str = "systemd";

/// The mode of a unix socket unless its address has `?mode=`: its owner and its group may use it.
const MODE: u32 = 0o660;

pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

pub enum ClientStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Clients that count as one: those of an IPv4 address, of an IPv6 network (/64), or of all unix sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer(Option<IpAddr>);

impl Peer {
    pub fn new(address: Option<IpAddr>) -> Self {
        Peer(address.map(|address| match address.to_canonical() {
            IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
            address => address,
        }))
    }
}

/// The file of a unix socket; it is removed with the listener if we created it.
pub struct SocketFile {
    path: PathBuf,
    own: Option<Metadata>,
}

/// Opens listeners: `HOST:PORT`, `:PORT` (on all addresses), `unix:/path`, or `systemd` for those that were `passed`.
///
/// # Errors
/// An address cannot be opened; the message names it.
pub async fn open(addresses: &[String], mut passed: Passed) -> Result<Vec<Listener>, String> {
    let mut listeners = Vec::new();
    for address in addresses.iter().map(|address| address.trim()).filter(|address| !address.is_empty()) {
        let opened = match address.strip_prefix("unix:") {
            Some(path) => unix_socket(path).map(|listener| vec![listener]),
            None if address == SYSTEMD => activated(&mut passed),
            None => tcp(address).await.map(|listener| vec![listener]),
        };
        listeners.extend(opened.map_err(|error| format!("cannot listen on {address}: {error}{}", advice(&error)))?);
    }
    if listeners.is_empty() {
        return Err("there is nothing to listen on: `--listen` is empty".to_owned());
    }
    Ok(listeners)
}

fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => "; another program, or another pgvigil, listens there: choose with `--listen`",
        io::ErrorKind::PermissionDenied => {
            "; a port below 1024, or this folder, needs more rights: choose another with `--listen`"
        }
        _ => "",
    }
}

async fn tcp(address: &str) -> io::Result<Listener> {
    let full = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
    TcpListener::bind(&full).await.map(Listener::Tcp)
}

/// Replaces a socket without a listener, and leaves alone anything else at that path.
fn unix_socket(address: &str) -> io::Result<Listener> {
    let (path, mode) = match address.split_once("?mode=") {
        Some((path, mode)) => (path, u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777)),
        None => (address, Some(MODE)),
    };
    let mode = mode.ok_or_else(|| io::Error::other("the mode must be octal, such as ?mode=0660"))?;
    let path = Path::new(path);
    if let Ok(there) = fs::symlink_metadata(path) {
        if !there.file_type().is_socket() {
            return Err(io::Error::other("there is a file that is not a socket"));
        }
        if unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::Error::other("another process listens there"));
        }
        fs::remove_file(path)?;
    }
    let listener = UnixListener::bind(path)?;
    // Until now the usual umask has kept everybody else out.
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    let own = fs::symlink_metadata(path).ok();
    Ok(Listener::Unix(listener, SocketFile { path: path.to_owned(), own }))
}

fn activated(passed: &mut Passed) -> io::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for index in 0..passed.len() {
        if let Ok(Some(listener)) = passed.take_tcp_listener(index) {
            listener.set_nonblocking(true)?;
            listeners.push(Listener::Tcp(TcpListener::from_std(listener)?));
        } else if let Some(listener) = passed.take_unix_listener(index)? {
            listener.set_nonblocking(true)?;
            let path = listener.local_addr()?.as_pathname().map(Path::to_owned).unwrap_or_default();
            listeners.push(Listener::Unix(UnixListener::from_std(listener)?, SocketFile { path, own: None }));
        }
    }
    if listeners.is_empty() {
        return Err(io::Error::other("systemd has passed no socket: is there a .socket unit?"));
    }
    Ok(listeners)
}

impl Listener {
    pub async fn accept(&self) -> io::Result<(ClientStream, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // A socket that refuses these options still works.
                _ = set_keepalive(&stream);
                Ok((ClientStream::Tcp(stream), Peer::new(Some(address.ip()))))
            }
            Listener::Unix(listener, _) => Ok((ClientStream::Unix(listener.accept().await?.0), Peer::new(None))),
        }
    }
}

impl fmt::Display for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listener::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "{address}"),
                Err(error) => write!(f, "{error}"),
            },
            Listener::Unix(_, file) => write!(f, "unix:{}", file.path.display()),
        }
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another process may have replaced it.
        if let Some(own) = &self.own
            && let Ok(now) = fs::symlink_metadata(&self.path)
            && (now.dev(), now.ino()) == (own.dev(), own.ino())
        {
            _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes the kernel close the connection of a client that has vanished or acknowledges nothing for half a minute.
fn set_keepalive(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(30)))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(30)))?;
    stream.set_nodelay(true)
}
