//! Unix sockets: as good as TCP, with permissions, and a file that comes and goes.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener as StdUnixListener;

use futures::{SinkExt, StreamExt};
use sheaf_protocol::frame;
use sheaf_server::relay::address::UnixMode;
use tokio::net::UnixStream;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use super::*;

fn on_socket(config: &mut Config, dir: &Path) {
    let path = dir.join("sheaf.sock");
    config.listen = Some(vec![format!("unix:{}", path.display()).parse().expect("an address")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_and_sessions_come_through_a_unix_socket() {
    let server = Server::start(on_socket).await;
    let path = server.dir.path().join("sheaf.sock");
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let stream = UnixStream::connect(&path).await.expect("it listens");
    assert_eq!(status(&say(stream, &request("GET", "/healthz", HOST)).await), 200);

    let stream = UnixStream::connect(&path).await.expect("it listens");
    let (mut socket, _) = client_async("ws://localhost/room", stream).await.expect("101");
    let mut step1 = Vec::new();
    frame::write_step1(&mut step1, &[0]);
    socket.send(Message::binary(step1)).await.expect("sent");
    let synced = async {
        while let Some(Ok(message)) = socket.next().await {
            if message.into_data().starts_with(&[0, 1]) {
                return true;
            }
        }
        false
    };
    assert!(timeout(SOON, synced).await.expect("in time"), "it is answered");

    server.app.stop().await;
    assert!(!path.exists(), "the file goes with the server");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_is_taken_from_a_dead_server_and_from_nobody_else() {
    let dir = TempDir::new().expect("a folder");
    let path = dir.path().join("sheaf.sock");
    // What a killed server leaves: a file on which nobody answers.
    drop(StdUnixListener::bind(&path).expect("bound"));
    assert!(std::fs::metadata(&path).expect("left").file_type().is_socket());
    let open = |config: &mut Config, dir: &Path| {
        on_socket(config, dir);
        config.unix_mode = UnixMode(0o600);
    };
    let first = start(dir.path(), open).await.expect("the dead one's is taken");
    let mode = std::fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let second = TempDir::new().expect("a folder");
    let same = |config: &mut Config, _: &Path| on_socket(config, dir.path());
    let error = start(second.path(), same).await.expect_err("taken").to_string();
    assert!(error.contains("sheaf.sock") && error.contains("--listen"), "{error}");
    UnixStream::connect(&path).await.expect("the first still answers");
    first.stop().await;

    std::fs::write(&path, "precious").expect("written");
    let error = start(dir.path(), on_socket).await.expect_err("no socket").to_string();
    assert!(error.contains("no socket"), "{error}");
    assert_eq!(std::fs::read_to_string(&path).expect("there"), "precious");
}
