//! A receiver of webhooks, or of traces, on loopback: it takes everything and keeps it as it came.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;

/// A delivery as it came.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The request's path.
    pub path: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Unparsed.
    pub body: Vec<u8>,
}

impl Delivery {
    /// The event's id.
    ///
    /// # Panics
    /// When there is none.
    pub fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }

    /// The body, parsed.
    ///
    /// # Panics
    /// When it is no JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a delivery is JSON")
    }
}

/// Listens until the test process ends.
pub struct Receiver {
    address: SocketAddr,
    got: Arc<Mutex<Vec<Delivery>>>,
}

impl Receiver {
    /// On a free port.
    ///
    /// # Errors
    /// When there is none.
    pub fn start() -> std::io::Result<Receiver> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let got = Arc::new(Mutex::new(Vec::new()));
        let all = Arc::clone(&got);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let got = Arc::clone(&all);
                // Ends with its connection, whether that ends well or not.
                thread::spawn(move || drop(serve(stream, &got)));
            }
        });
        Ok(Receiver { address, got })
    }

    /// Where it listens, without a path.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("http://{}/in", self.address)
    }

    /// What it got so far.
    pub fn got(&self) -> Vec<Delivery> {
        self.got.lock().clone()
    }
}

fn serve(stream: TcpStream, got: &Mutex<Vec<Delivery>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut writer = stream;
    loop {
        let mut headers = BTreeMap::new();
        let mut path = String::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(':') {
                Some((name, value)) => {
                    headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
                }
                None if line.trim_end().is_empty() => break,
                None => path = line.split(' ').nth(1).unwrap_or_default().to_owned(),
            }
        }
        let length = headers.get("content-length").and_then(|length| length.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        reader.read_exact(&mut body)?;
        got.lock().push(Delivery { path, headers, body });
        writer.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")?;
    }
}
