//! Every input known to break yrs, sent to a running server: refused or harmless, for everyone
//! else in the same document too, and still so after a restart.

use std::time::Duration;

use sheaf_client::replica::{Options, Replica};
use sheaf_protocol::frame;
use sheaf_tests::server::Server;
use sheaf_tests::socket::{Heard, Socket};
use sheaf_tests::wire::{Hostile, load};

const SOON: Duration = Duration::from_secs(30);

/// Messages of one input that are sent: the quadratic ones stay quadratic, and a part of them shows
/// as much.
const MESSAGES_MAX: usize = 100;

fn room(at: usize) -> String {
    format!("hostile/{at}")
}

fn honest(server: &Server, at: usize, client_id: u32) -> Replica {
    Replica::connect(Options { client_id, ..Options::new(server.url(), room(at)) })
}

/// An input as frames: an update both as a live edit and as an answer.
fn frames(vector: &Hostile) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for bytes in vector.messages().into_iter().take(MESSAGES_MAX) {
        let mut out = Vec::new();
        match vector.kind.as_str() {
            "update" => {
                frame::write_update(&mut out, &bytes);
                frames.push(std::mem::take(&mut out));
                frame::write_step2(&mut out, &bytes);
            }
            "state_vector" => frame::write_step1(&mut out, &bytes),
            "awareness" => frame::write_awareness(&mut out, &bytes),
            _ => out = bytes,
        }
        frames.push(out);
    }
    frames
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hostile_inputs_cost_only_their_sender_also_after_a_restart() {
    let server = Server::start().await;
    let vectors: Vec<Hostile> = load("hostile.json");
    for (at, vector) in vectors.iter().enumerate() {
        let witness = honest(&server, at, 1_000_001);
        witness.insert(0, "before ").expect("it fits");
        witness.durable(SOON).await.unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        for frame in frames(vector) {
            // A session of its own for each: one that was ended shows nothing of the next.
            let url = format!("{}/{}", server.url(), room(at));
            let mut socket = Socket::open(&url).await.expect("the server accepts");
            let is_sent = socket.send(frame).await.is_ok();
            let mut asked = Vec::new();
            frame::write_step1(&mut asked, &[0]);
            if is_sent && socket.send(asked).await.is_ok() {
                let answered = socket.hear_until(SOON, |frame| frame.starts_with(&[0, 1])).await;
                let ended = answered.err().map(|error| error.to_string());
                assert!(
                    ended.as_ref().is_none_or(|how| how.contains("Closed(44")
                        || how.contains(&format!("{:?}", Heard::Broken))),
                    "{}: {ended:?}",
                    vector.name
                );
            }
        }
        witness.insert(7, "after").expect("it fits");
        witness.durable(SOON).await.unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        assert!(witness.text().contains("before after"), "{}", vector.name);
    }
    let server = server.restart().await;
    for (at, vector) in vectors.iter().enumerate() {
        let reader = honest(&server, at, 1_000_002);
        reader.synced(SOON).await.unwrap_or_else(|error| panic!("{}: {error}", vector.name));
        assert!(reader.text().contains("before after"), "{}: {}", vector.name, reader.text());
    }
    assert_eq!(server.app().metrics().task_panics.get(), 0);
    assert_eq!(server.app().metrics().document.quarantined.get(), 0);
}
