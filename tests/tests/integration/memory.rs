//! What idle documents cost: nothing, once they have left memory. On a real process, whose
//! allocator has to give the pages back as well.

use std::time::Duration;

use sheaf_protocol::frame;
use sheaf_tests::eventually::{eventually, eventually_async};
use sheaf_tests::http::Request;
use sheaf_tests::process::Process;
use sheaf_tests::socket::Socket;
use yrs::{Doc, ReadTxn, StateVector, Text, Transact};

const DEADLINE: Duration = Duration::from_secs(60);
const DOCUMENTS: usize = 60;

/// A text whose every character is a block of its own, so that it takes many times its bytes.
fn costly() -> Vec<u8> {
    let doc = Doc::with_client_id(7);
    let text = doc.get_or_insert_text("content");
    let mut txn = doc.transact_mut();
    (0..6_000).for_each(|_| text.insert(&mut txn, 0, "x"));
    txn.encode_state_as_update_v1(&StateVector::default())
}

/// Memory of a process that is no file's, in KiB.
fn anonymous_kib(process: &Process) -> usize {
    let id = process.id().expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a figure");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test]
async fn documents_that_nobody_uses_give_their_memory_back() {
    let home = tempfile::tempdir().expect("a directory");
    let config = home.path().join("config.toml");
    std::fs::write(&config, "[limits]\nunload_idle_s = 1\n").expect("written");
    let arguments = ["--config", config.to_str().expect("UTF-8")];
    let process = Process::start_with(&home.path().join("data"), &arguments).expect("it starts");
    let mut update = Vec::new();
    frame::write_update(&mut update, &costly());
    let mut question = Vec::new();
    frame::write_step1(&mut question, &[0]);
    let before = anonymous_kib(&process);
    let mut sockets = Vec::new();
    for number in 0..DOCUMENTS {
        let url = format!("{}/memory-{number}", process.url());
        let mut socket = Socket::open(&url).await.expect("it opens");
        socket.send(update.clone()).await.expect("sent");
        socket.send(question.clone()).await.expect("sent");
        let is_all = |frame: &[u8]| frame.starts_with(&[0, 1]) && frame.len() > 6_000;
        socket.hear_until(DEADLINE, is_all).await.expect("the document is there");
        sockets.push(socket);
    }
    let taken = anonymous_kib(&process) - before;
    assert!(taken > 12_000, "{taken} KiB is too little to tell anything by");
    drop(sockets);
    eventually_async("all documents leave memory", DEADLINE, || async {
        let metrics = Request::new("GET", "/metrics").send(process.address()).await.text();
        metrics.lines().any(|line| line == "sheaf_documents_loaded 0")
    })
    .await;
    eventually("most of what they took is given back", DEADLINE, || {
        anonymous_kib(&process) < before + taken / 3
    })
    .await;
}
