//! Peers that listen like a server and are none; the lies here are told in PostgreSQL's protocol.

use std::{
    io::{self, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::millis;

/// What a liar does with a connection, until it fails.
pub type Lie = fn(&mut TcpStream) -> io::Result<()>;

/// Listens until dropped.
pub struct Liar {
    port: u16,
    ended: Arc<AtomicBool>,
}

impl Liar {
    /// Plays the same to each connection.
    pub fn start(lie: impl Fn(&mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> Liar {
        let lie = Arc::new(lie);
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let ended = Arc::new(AtomicBool::new(false));
        let over = ended.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::Relaxed) {
                    return;
                }
                let (over, lie) = (over.clone(), lie.clone());
                thread::spawn(move || talk(stream, &*lie, &over));
            }
        });
        Liar { port, ended }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn url(&self) -> String {
        format!("postgresql://pgvigil:secret@127.0.0.1:{}/postgres", self.port)
    }
}

impl Drop for Liar {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        // The listener looks up once more.
        _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn talk(mut stream: TcpStream, lie: &(impl Fn(&mut TcpStream) -> io::Result<()> + Sync), over: &AtomicBool) {
    _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
    _ = stream.set_write_timeout(Some(Duration::from_secs(30)));
    let watched = stream.try_clone();
    thread::scope(|scope| {
        let talking = scope.spawn(|| lie(&mut stream));
        while !talking.is_finished() && !over.load(Ordering::Relaxed) {
            millis(20);
        }
        // Wakes the talking one, which may wait for bytes.
        _ = watched.map(|stream| stream.shutdown(std::net::Shutdown::Both));
    });
}

pub const LIES: [(&str, Lie); 10] = [
    ("silent", silent),
    ("closes at once", |_| Ok(())),
    ("closes half-way through the login", cut),
    ("drips bytes", drip),
    ("answers in HTTP", http),
    ("announces 2 GiB", |stream| pour(stream, &[b"R\x7f\xff\xff\xff"], &[0; 64 << 10])),
    ("silent after the login", |stream| pour(stream, &[AUTHENTICATED, READY], &[]).and_then(|()| silent(stream))),
    ("endless notices", |stream| {
        let notice = format!("SNOTICE\0C00000\0M{}\0\0", "x".repeat(1000));
        pour(stream, &[], &message(b'N', notice.as_bytes()))
    }),
    ("endless parameters", parameters),
    ("endless rows", rows),
];

pub const AUTHENTICATED: &[u8] = b"R\0\0\0\x08\0\0\0\0";
pub const READY: &[u8] = b"Z\0\0\0\x05I";

pub fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("a short body").to_be_bytes();
    [&[kind], &length[..], body].concat()
}

pub fn silent(stream: &mut TcpStream) -> io::Result<()> {
    io::copy(stream, &mut io::sink()).map(|_| ())
}

/// Reads what is there, whatever it is.
pub fn hear(stream: &mut TcpStream) -> io::Result<()> {
    stream.read(&mut [0; 4096]).map(|_| ())
}

/// Declines TLS and reads the startup packet.
pub fn greet(stream: &mut TcpStream) -> io::Result<()> {
    let mut request = [0; 8];
    stream.read_exact(&mut request)?;
    if request[4..] == [0x04, 0xd2, 0x16, 0x2f] {
        stream.write_all(b"N")?;
    }
    hear(stream)
}

/// After the greeting, these messages, and then one without end.
pub fn pour(stream: &mut TcpStream, first: &[&[u8]], endless: &[u8]) -> io::Result<()> {
    greet(stream)?;
    stream.write_all(&first.concat())?;
    let endless = endless.repeat(((64 << 10) / endless.len().max(1)).max(1));
    while !endless.is_empty() {
        stream.write_all(&endless)?;
    }
    Ok(())
}

fn cut(stream: &mut TcpStream) -> io::Result<()> {
    greet(stream)?;
    stream.write_all(AUTHENTICATED)?;
    stream.write_all(&message(b'S', b"server_version\x0018\0")[..9])
}

fn drip(stream: &mut TcpStream) -> io::Result<()> {
    greet(stream)?;
    let drops = [AUTHENTICATED, &message(b'S', b"server_version\x0018\0").repeat(1000)].concat();
    drops.iter().try_for_each(|drop| {
        millis(50);
        stream.write_all(&[*drop])
    })
}

fn http(stream: &mut TcpStream) -> io::Result<()> {
    hear(stream)?;
    stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

fn parameters(stream: &mut TcpStream) -> io::Result<()> {
    pour(stream, &[AUTHENTICATED], &[])?;
    (0u64..).try_for_each(|n| {
        let body = format!("parameter_{n}\0{}\0", "x".repeat(1000));
        stream.write_all(&message(b'S', body.as_bytes()))
    })
}

/// Answers the first query with one text column and rows of 1 KB.
fn rows(stream: &mut TcpStream) -> io::Result<()> {
    pour(stream, &[AUTHENTICATED, READY], &[])?;
    hear(stream)?;
    let column = [&1u16.to_be_bytes()[..], b"a\0", &[0; 6], &25u32.to_be_bytes(), &[0xff; 6], &[0, 1]].concat();
    stream.write_all(&[message(b'1', &[]), message(b'2', &[]), message(b'T', &column)].concat())?;
    let row = message(b'D', &[&1u16.to_be_bytes()[..], &1000u32.to_be_bytes(), &[b'x'; 1000]].concat());
    loop {
        stream.write_all(&row.repeat(64))?;
    }
}
