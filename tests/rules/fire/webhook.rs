//! The end of the line: a listener that keeps what Alertmanager sends to its receivers.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use serde_json::Value;

use super::round::Labels;

/// An alert as it arrived.
#[derive(Clone, Debug)]
pub struct Notice {
    /// The receiver of Alertmanager's routes.
    pub receiver: String,
    pub is_firing: bool,
    pub labels: Labels,
    pub annotations: Labels,
}

/// Listens until the process ends.
pub struct Webhook {
    address: SocketAddr,
    notices: Arc<Mutex<Vec<Notice>>>,
}

impl Webhook {
    pub fn start() -> Webhook {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let address = listener.local_addr().expect("its address");
        let notices: Arc<Mutex<Vec<Notice>>> = Arc::default();
        let kept = notices.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let kept = kept.clone();
                thread::spawn(move || {
                    while let Some(more) = receive(&stream) {
                        kept.lock().unwrap_or_else(PoisonError::into_inner).extend(more);
                    }
                });
            }
        });
        Webhook { address, notices }
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// What came since this many had come.
    pub fn since(&self, count: usize) -> Vec<Notice> {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).iter().skip(count).cloned().collect()
    }

    pub fn count(&self) -> usize {
        self.notices.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Reads one request and answers it. `None`: the connection ended.
fn receive(mut stream: &TcpStream) -> Option<Vec<Notice>> {
    stream.set_read_timeout(Some(Duration::from_secs(600))).ok()?;
    let mut reader = BufReader::new(stream);
    let (mut length, mut line) = (0, String::new());
    while reader.read_line(&mut line).ok()? > 0 && !line.trim().is_empty() {
        if let Some(value) = line.to_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let message: Value = serde_json::from_slice(&body).ok()?;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").ok()?;
    Some(notices(&message))
}

fn notices(message: &Value) -> Vec<Notice> {
    let receiver = message["receiver"].as_str().unwrap_or_default();
    let alerts = message["alerts"].as_array().into_iter().flatten();
    let notice = |alert: &Value| Notice {
        receiver: receiver.to_owned(),
        is_firing: alert["status"] == "firing",
        labels: super::round::labels(&alert["labels"]),
        annotations: super::round::labels(&alert["annotations"]),
    };
    alerts.map(notice).collect()
}
