//! A TCP proxy between a client and a server that does to their connections what a test tells it, and writes down when
//! what passed.

use std::{
    io::{self, Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

/// What happens to bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    Pass,
    /// What the server says waits so long.
    Delay(Duration),
    /// Nothing passes any more, and nothing ends.
    Swallow,
    /// What the client says ends the connection.
    Cut,
}

/// Listens while the process lives.
#[derive(Clone)]
pub struct Proxy {
    port: u16,
    state: Arc<Mutex<State>>,
}

struct State {
    mode: Mode,
    /// When a request passed, and when its answer did.
    requests: Vec<(Instant, Instant)>,
    asked: Option<Instant>,
    open: usize,
}

impl Proxy {
    /// Before the server that listens at this port.
    pub fn start(server: u16, mode: Mode) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let state = State { mode, requests: Vec::new(), asked: None, open: 0 };
        let proxy = Proxy { port, state: Arc::new(Mutex::new(state)) };
        let of_thread = proxy.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let proxy = of_thread.clone();
                thread::spawn(move || proxy.talk(client, server));
            }
        });
        proxy
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    pub fn set(&self, mode: Mode) {
        self.state.lock().expect("no panic while held").mode = mode;
    }

    /// Connections that pass through it now.
    pub fn open(&self) -> usize {
        self.state.lock().expect("no panic while held").open
    }

    /// How long each request waited for the first byte of its answer.
    pub fn waits(&self) -> Vec<Duration> {
        let state = self.state.lock().expect("no panic while held");
        state.requests.iter().map(|(asked, answered)| answered.duration_since(*asked)).collect()
    }

    fn talk(&self, client: TcpStream, server: u16) {
        let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { return };
        for socket in [&client, &server] {
            _ = socket.set_nodelay(true);
        }
        self.state.lock().expect("no panic while held").open += 1;
        thread::scope(|scope| {
            scope.spawn(|| _ = self.pass(&client, &server, true));
            scope.spawn(|| _ = self.pass(&server, &client, false));
        });
        self.state.lock().expect("no panic while held").open -= 1;
    }

    fn pass(&self, from: &TcpStream, to: &TcpStream, is_request: bool) -> io::Result<()> {
        let end = || {
            _ = from.shutdown(Shutdown::Both);
            _ = to.shutdown(Shutdown::Both);
        };
        let mut bytes = [0; 16 << 10];
        loop {
            let Ok(read @ 1..) = (&*from).read(&mut bytes) else { break end() };
            let mode = self.state.lock().expect("no panic while held").mode;
            match mode {
                Mode::Swallow => continue,
                Mode::Cut if is_request => break end(),
                Mode::Delay(delay) if !is_request => thread::sleep(delay),
                _ => (),
            }
            self.note(is_request);
            if (&*to).write_all(&bytes[..read]).is_err() {
                break end();
            }
        }
        Ok(())
    }

    fn note(&self, is_request: bool) {
        let mut state = self.state.lock().expect("no panic while held");
        match (is_request, state.asked) {
            (true, _) => state.asked = Some(Instant::now()),
            (false, Some(asked)) => {
                state.asked = None;
                state.requests.push((asked, Instant::now()));
            }
            _ => (),
        }
    }
}
