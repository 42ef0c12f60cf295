//! Changes that reach live sessions, and those they do not.

use sheaf_protocol::frame;
use sheaf_tests::eventually::eventually;
use sheaf_tests::socket::{Heard, Socket};
use yrs::{ReadTxn, StateVector, Text, Transact, WriteTxn};

use super::*;

const ADA: &str = "ada-token-of-some-length";
const BOB: &str = "bob-token-of-some-length";

fn user(name: &str, token: &str, role: &str) -> String {
    format!("[[users]]\nname = \"{name}\"\ntoken = \"{token}\"\nrole = \"{role}\"\n")
}

fn update(client: u64, text: &str) -> Vec<u8> {
    let doc = yrs::Doc::with_client_id(client);
    let mut change = doc.transact_mut();
    let root = change.get_or_insert_text("content");
    root.insert(&mut change, 0, text);
    let update = change.encode_state_as_update_v1(&StateVector::default());
    let mut out = Vec::new();
    frame::write_update(&mut out, &update);
    out
}

async fn open(running: &Running, room: &str, token: &str) -> Socket {
    Socket::open(&running.url(&format!("{room}?token={token}"))).await.expect("let in")
}

/// Whether a marker sent on the socket is given back: it lives, and all before it is durable.
async fn is_served(socket: &mut Socket) -> bool {
    let mut marker = Vec::new();
    frame::write_echo(&mut marker, b"still here");
    socket.send(marker.clone()).await.is_ok()
        && socket.hear_until(SOON, |bytes| *bytes == *marker).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_session_ends_within_a_second_and_another_never_notices() {
    let both = [user("ada", ADA, "write"), user("bob", BOB, "write")].concat();
    let running = Running::start(&both, "info");
    let mut ada = open(&running, "room", ADA).await;
    let mut bob = open(&running, "room", BOB).await;
    assert!(is_served(&mut ada).await && is_served(&mut bob).await);

    running.configure(&user("ada", ADA, "write"));
    assert_eq!(bob.end(Duration::from_secs(1)).await, Heard::Closed(4401));
    assert!(is_served(&mut ada).await, "the same socket");
    let answer = running.upgrade(&format!("/room?token={BOB}"), "").await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");

    // A mistake changes nothing.
    running.configure("[[users]]\nname = 1\n");
    running.hang_up();
    eventually("the mistake is told", SOON, || running.log().contains("the old one stays")).await;
    assert!(is_served(&mut ada).await);
    // And SIGHUP does what a change of the file does.
    running.configure(&both);
    eventually("bob may come again", SOON, || {
        running.log().matches("the configuration was read again").count() >= 2
    })
    .await;
    assert!(is_served(&mut open(&running, "room", BOB).await).await);
    assert!(is_served(&mut ada).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_may_only_read_from_now_on_hears_it_and_stays() {
    let running = Running::start(&user("ada", ADA, "write"), "info");
    let mut ada = open(&running, "room", ADA).await;
    ada.send(update(1, "taken")).await.expect("sent");
    assert!(is_served(&mut ada).await);

    running.configure(&user("ada", ADA, "read"));
    eventually("it is read", SOON, || running.log().contains("read again")).await;
    ada.send(update(2, "not taken")).await.expect("sent");
    let is_denied = |bytes: &[u8]| bytes.first() == Some(&2);
    ada.hear_until(SOON, is_denied).await.expect("told that it may only read");

    running.configure(&user("ada", ADA, "write"));
    // The server asks for what it did not take.
    let is_question = |bytes: &[u8]| bytes.starts_with(&[0, 0]);
    ada.hear_until(SOON, is_question).await.expect("asked");
    ada.send(update(3, "taken again")).await.expect("sent");
    let mut answer = Vec::new();
    frame::write_step2(&mut answer, &[0, 0]);
    ada.send(answer).await.expect("sent");
    assert!(is_served(&mut ada).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_that_others_can_read_is_refused_with_what_to_do() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("sheaf.toml");
    let run = |text: &str, mode: u32| {
        fs::write(&file, text).expect("written");
        fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("ours");
        let mut command = Command::new(binary().expect("the binary"));
        command.args(["config", "check", "--config"]).arg(&file);
        let output = command.output().expect("it runs");
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let plain = user("ada", ADA, "write");
    for mode in [0o644, 0o640, 0o604] {
        let (code, said) = run(&plain, mode);
        assert_eq!(code, Some(2), "{said}");
        assert!(said.contains("chmod 600") && !said.contains(ADA), "{said}");
    }
    assert_eq!(run(&plain, 0o600).0, Some(0));
    let hash = sheaf_server::auth::token::TokenHash::of(ADA).text();
    let hashed = plain.replace("token = ", "token_hash = ").replace(ADA, &hash);
    assert_eq!(run(&hashed, 0o644).0, Some(0));
}
