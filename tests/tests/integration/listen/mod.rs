//! How a server is reached: TLS, unix sockets, an operator's door, proxies, pages, slow peers.
//! Every test uses real sockets.

mod admin;
mod browsers;
mod proxies;
mod slow;
mod tls;
mod unix;

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use sheaf_server::app::{Ambient, App, Error};
use sheaf_server::auth::Role;
use sheaf_server::auth::users::UserConfig;
use sheaf_server::config::Config;
use sheaf_server::relay::address::Place;
use sheaf_server::relay::listen::Kind;
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// For what is local and should be immediate.
const SOON: Duration = Duration::from_secs(20);
const TOKEN: &str = "a token of twenty-eight bytes";
const HOST: &str = "Host: localhost\r\n";

/// A server in this process, and a folder for its data and whatever else a test needs.
struct Server {
    app: App,
    dir: TempDir,
}

impl Server {
    async fn start(change: impl FnOnce(&mut Config, &Path)) -> Server {
        let dir = TempDir::new().expect("a folder");
        let app = start(dir.path(), change).await.expect("it starts");
        Server { app, dir }
    }

    fn address(&self) -> SocketAddr {
        self.app.addresses()[0]
    }

    /// The operator's address.
    fn admin(&self) -> SocketAddr {
        let door = self.app.doors().iter().find(|door| door.kind == Kind::Admin);
        match &door.expect("it has one").place {
            Place::Tcp(address) => *address,
            Place::Unix(path) => panic!("{} is no address", path.display()),
        }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address()).await.expect("it listens")
    }

    /// The answer to a request without a body, over a connection of its own.
    async fn ask(&self, method: &str, path: &str, headers: &str) -> String {
        say(self.connect().await, &request(method, path, headers)).await
    }
}

async fn start(dir: &Path, change: impl FnOnce(&mut Config, &Path)) -> Result<App, Error> {
    let mut config = Config {
        listen: Some(vec![([127, 0, 0, 1], 0).into()]),
        data: Some(dir.join("data")),
        ..Config::default()
    };
    change(&mut config, dir);
    App::start(config, Ambient::system()).await
}

fn ada() -> UserConfig {
    UserConfig::new("ada", TOKEN, Role::Write)
}

fn bearer() -> String {
    format!("Authorization: Bearer {TOKEN}\r\n")
}

fn request(method: &str, path: &str, headers: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{headers}\r\n")
}

fn upgrade(path: &str, headers: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         {headers}\r\n"
    )
}

/// Sends this and reads until the server ends the connection, however it does.
async fn say<S>(mut stream: S, text: &str) -> String
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.flush().await;
    let mut answer = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut answer)).await.expect("closed in time");
    String::from_utf8_lossy(&answer).into_owned()
}

/// Sends this and reads the first line's status; the connection is given back, to be held.
async fn begin<S>(mut stream: S, text: &str) -> (u16, S)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    stream.write_all(text.as_bytes()).await.expect("sent");
    stream.flush().await.expect("sent");
    let mut head = [0; 12];
    timeout(SOON, stream.read_exact(&mut head)).await.expect("in time").expect("an answer");
    (status(&String::from_utf8_lossy(&head)), stream)
}

/// The status of an answer; 0 if there is none.
fn status(answer: &str) -> u16 {
    let digits = answer.split(' ').nth(1).and_then(|digits| digits.get(..3));
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// A header's value, in any case of its name.
fn header<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let head = answer.split("\r\n\r\n").next().unwrap_or_default();
    let pairs = head.lines().filter_map(|line| line.split_once(": "));
    pairs.into_iter().find(|(it, _)| it.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}
