//! Who may do what, against the real process: tokens in every place, changes while it runs, and
//! that no token is ever shown.

mod live;
mod secrecy;

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use sheaf_tests::process::binary;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For what is local and should be immediate.
const SOON: Duration = Duration::from_secs(20);

/// The binary with a configuration file, its log in a file.
struct Running {
    child: Child,
    address: SocketAddr,
    dir: TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(configuration: &str, level: &str) -> Running {
        let dir = tempfile::tempdir().expect("a directory");
        let log = File::create(dir.path().join("log")).expect("a log");
        write_configuration(&dir.path().join("sheaf.toml"), configuration);
        let mut child = Command::new(binary().expect("the binary"))
            .args(["serve", "--listen", "127.0.0.1:0", "--log", level])
            .arg("--config")
            .arg(dir.path().join("sheaf.toml"))
            .arg("--data")
            .arg(dir.path().join("data"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .expect("it starts");
        let mut line = String::new();
        let out = child.stdout.take().expect("piped");
        BufReader::new(out).read_line(&mut line).expect("a line");
        let address = line.trim().trim_start_matches("http://").trim_end_matches('/');
        let said = || fs::read_to_string(dir.path().join("log")).unwrap_or_default();
        let address = address.parse().unwrap_or_else(|_| panic!("no address: {line}{}", said()));
        Running { child, address, dir }
    }

    fn configure(&self, configuration: &str) {
        write_configuration(&self.file(), configuration);
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join("sheaf.toml")
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("log")).expect("the log")
    }

    fn hang_up(&self) {
        let pid = self.child.id().to_string();
        let status = Command::new("kill").args(["-HUP", &pid]).status().expect("kill is there");
        assert!(status.success());
    }

    fn url(&self, room: &str) -> String {
        format!("ws://{}/{room}", self.address)
    }

    /// Sends a request's head and returns the whole answer.
    async fn ask(&self, head: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        let head = format!("{head}\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.expect("closed in time");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Asks for a WebSocket with more of a head; returns the head of the answer.
    async fn upgrade(&self, path: &str, more: &str) -> String {
        let mut stream = TcpStream::connect(self.address).await.expect("it listens");
        let head = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        let reading = async {
            while !answer.windows(4).any(|it| it == b"\r\n\r\n") {
                if stream.read_buf(&mut answer).await.unwrap_or(0) == 0 {
                    break;
                }
            }
        };
        timeout(SOON, reading).await.expect("an answer");
        String::from_utf8_lossy(&answer).into_owned()
    }
}

/// As an editor does: a new file in place of the old one.
fn write_configuration(path: &PathBuf, text: &str) {
    let fresh = path.with_extension("new");
    fs::write(&fresh, text).expect("written");
    fs::set_permissions(&fresh, fs::Permissions::from_mode(0o600)).expect("ours");
    fs::rename(&fresh, path).expect("replaced");
}

fn is_open(head: &str) -> bool {
    head.starts_with("HTTP/1.1 101 ")
}
