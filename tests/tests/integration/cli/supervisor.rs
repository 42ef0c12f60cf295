//! What a service manager is told.

use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::time::Duration;

use sheaf_tests::process::binary;

/// For a start and a stop on a busy machine.
const SOON: Duration = Duration::from_secs(20);

fn heard(socket: &UnixDatagram) -> String {
    let mut bytes = [0; 512];
    let count = socket.recv(&mut bytes).expect("it says something in time");
    String::from_utf8_lossy(&bytes[..count]).into_owned()
}

/// Listens until something with `word` is said.
fn hear(socket: &UnixDatagram, word: &str) {
    while !heard(socket).contains(word) {}
}

#[test]
fn a_service_manager_hears_that_it_serves_lives_reloads_and_stops() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("bound");
    socket.set_read_timeout(Some(SOON)).expect("a time-out");
    let mut child = Command::new(binary().expect("the binary"))
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(dir.path().join("data"))
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "100000")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    assert!(heard(&socket).contains("READY=1"), "first of all");
    hear(&socket, "WATCHDOG=1");
    hear(&socket, "WATCHDOG=1");
    let pid = child.id().to_string();
    let hung_up = Command::new("kill").args(["-HUP", &pid]).status().expect("kill is there");
    assert!(hung_up.success());
    hear(&socket, "RELOADING=1\nMONOTONIC_USEC=");
    hear(&socket, "READY=1");
    let killed = Command::new("kill").args(["-TERM", &pid]).status().expect("kill is there");
    assert!(killed.success());
    hear(&socket, "STOPPING=1");
    assert!(child.wait().expect("it ends").success());
}
