//! Where we listen: addresses, unix sockets, and what systemd listens on for us.

use std::{
    fmt,
    fs::{self, Metadata, Permissions},
    io,
    net::{IpAddr, Ipv6Addr},
    os::unix::{
        self,
        fs::{FileTypeExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    time::Duration,
};

pub use listenfd::ListenFd as Passed;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

/// The sockets that were opened for us.
const SYSTEMD: &str = "systemd";

/// Who may use a unix socket, unless the address says `?mode=`: its owner and its group.
const MODE: u32 = 0o660;

/// A place that clients come to.
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

/// A client that has come.
pub enum ClientStream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Who comes from one place: an address, of IPv6 a network of one (/64); all who come by a unix socket.
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

/// The file of a socket. If it is our own, it goes with us.
pub struct SocketFile {
    path: PathBuf,
    own: Option<Metadata>,
}

/// The sockets that LISTEN_FDS and LISTEN_PID speak of; these are taken out of the environment, so this is called while there is
/// but one thread.
pub fn passed() -> Passed {
    Passed::from_env()
}

/// Opens all of them: `HOST:PORT`, `:PORT` (on all addresses), `unix:/path`, or `systemd` for those that were `passed`.
///
/// # Errors
/// One cannot be listened on; the message names it.
pub async fn open(places: &[String], mut passed: Passed) -> Result<Vec<Listener>, String> {
    let mut listeners = Vec::new();
    for place in places.iter().map(|place| place.trim()).filter(|place| !place.is_empty()) {
        let opened = match place.strip_prefix("unix:") {
            Some(path) => unix_socket(path).map(|listener| vec![listener]),
            None if place == SYSTEMD => activated(&mut passed),
            None => tcp(place).await.map(|listener| vec![listener]),
        };
        listeners.extend(opened.map_err(|error| format!("cannot listen on {place}: {error}"))?);
    }
    match listeners.is_empty() {
        true => Err("there is nothing to listen on: `--listen` is empty".to_owned()),
        false => Ok(listeners),
    }
}

async fn tcp(address: &str) -> io::Result<Listener> {
    let full = if address.starts_with(':') { format!("0.0.0.0{address}") } else { address.to_owned() };
    TcpListener::bind(&full).await.map(Listener::Tcp)
}

/// A socket that nobody listens on any more is replaced; anything else there is left alone.
fn unix_socket(place: &str) -> io::Result<Listener> {
    let (path, mode) = match place.split_once("?mode=") {
        Some((path, mode)) => (path, u32::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o777)),
        None => (place, Some(MODE)),
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
    // Until here the usual umask has let in nobody but us.
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    let own = fs::symlink_metadata(path).ok();
    Ok(Listener::Unix(listener, SocketFile { path: path.to_owned(), own }))
}

fn activated(passed: &mut Passed) -> io::Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for index in 0..passed.len() {
        let listener = match passed.take_tcp_listener(index) {
            Ok(Some(listener)) => {
                listener.set_nonblocking(true)?;
                Listener::Tcp(TcpListener::from_std(listener)?)
            }
            _ => {
                let Some(listener) = passed.take_unix_listener(index)? else { continue };
                listener.set_nonblocking(true)?;
                let path = listener.local_addr()?.as_pathname().map(Path::to_owned).unwrap_or_default();
                Listener::Unix(UnixListener::from_std(listener)?, SocketFile { path, own: None })
            }
        };
        listeners.push(listener);
    }
    match listeners.is_empty() {
        true => Err(io::Error::other("systemd has passed no socket: is there a .socket unit?")),
        false => Ok(listeners),
    }
}

impl Listener {
    pub async fn accept(&self) -> io::Result<(ClientStream, Peer)> {
        match self {
            Listener::Tcp(listener) => {
                let (stream, address) = listener.accept().await?;
                // What is not set is no reason to refuse anyone.
                _ = let_go_of_the_dead(&stream);
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
        let is_same = |own: &Metadata| {
            fs::symlink_metadata(&self.path).is_ok_and(|now| (now.dev(), now.ino()) == (own.dev(), own.ino()))
        };
        if self.own.as_ref().is_some_and(is_same) {
            _ = fs::remove_file(&self.path);
        }
    }
}

/// A client that reads nothing for half a minute, or is gone without a word, loses its connection.
fn let_go_of_the_dead(stream: &TcpStream) -> io::Result<()> {
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(Duration::from_secs(30)))?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(Duration::from_secs(30)))?;
    stream.set_nodelay(true)
}
