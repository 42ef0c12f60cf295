//! A backend edits a document that people are typing in.

use serde_json::json;
use sheaf_protocol::frame::{self, Message};
use sheaf_tests::eventually::eventually_async;
use sheaf_tests::http::Request;
use sheaf_tests::server::Server;
use sheaf_tests::socket::Socket;
use yrs::updates::decoder::Decode;
use yrs::{
    Assoc, Doc, GetString, IndexedSequence, Map, ReadTxn, StateVector, Text, Transact, Update,
};

use super::{Client, SOON};

/// A person's editor: a socket and a replica.
struct Editor {
    socket: Socket,
    doc: Doc,
}

impl Editor {
    async fn join(server: &Server, path: &str, client: u64) -> Editor {
        let url = format!("{}/v1/vaults/notes/docs/{path}", server.url());
        let mut socket = Socket::open(&url).await.expect("it connects");
        socket.send([0, 0, 1, 0]).await.expect("sent");
        let mut editor = Editor { socket, doc: Doc::with_client_id(client) };
        while !matches!(editor.hear().await, Heard::State) {}
        editor
    }

    /// Types at a place, at once, whatever the others do.
    async fn type_at(&mut self, place: u32, text: &str) {
        let root = self.doc.get_or_insert_text("content");
        let before = self.doc.transact().state_vector();
        root.insert(&mut self.doc.transact_mut(), place, text);
        let update = self.doc.transact().encode_diff_v1(&before);
        let mut frame = Vec::new();
        frame::write_update(&mut frame, &update);
        self.socket.send(frame).await.expect("sent");
    }

    /// Takes in the next frame that changes the document; gives the size of what came.
    async fn hear(&mut self) -> Heard {
        loop {
            let frame = self.socket.hear_until(SOON, |_| true).await.expect("a frame");
            let message = frame::messages(&frame).next().expect("a message").expect("well formed");
            let (update, heard) = match message {
                Message::Step2(update) => (update, Heard::State),
                Message::Update(update) => (update, Heard::Edit(update.len())),
                _ => continue,
            };
            let update = Update::decode_v1(update).expect("an update");
            self.doc.transact_mut().apply_update(update).expect("it applies");
            return heard;
        }
    }

    /// Takes frames in until the text is this; gives the bytes of updates that came.
    async fn hear_until(&mut self, wanted: &str) -> usize {
        let mut bytes = 0;
        while self.text() != wanted {
            if let Heard::Edit(size) = self.hear().await {
                bytes += size;
            }
        }
        bytes
    }

    fn text(&self) -> String {
        let root = self.doc.get_or_insert_text("content");
        root.get_string(&self.doc.transact())
    }
}

enum Heard {
    State,
    Edit(usize),
}

fn long_text() -> String {
    (0..2_000).map(|line| format!("This is line {line} of a long text.\n")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_put_reaches_those_who_type_as_a_small_edit_and_their_carets_stay() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let text = long_text();
    notes.written("live.md", &text).await;
    let mut ada = Editor::join(&server, "live.md", 101).await;
    assert_eq!(ada.text(), text);
    let caret = text.find("line 1500").expect("it is there") as u32 + 5;
    let root = ada.doc.get_or_insert_text("content");
    let sticky = root.sticky_index(&ada.doc.transact(), caret, Assoc::After);
    let sticky = sticky.expect("inside the text");

    let changed = text.replace("This is line 70 of", "This was, once upon a time, line 70 of");
    let answer = notes.put("live.md", &changed).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let bytes = ada.hear_until(&changed).await;
    assert!(bytes < 200, "one line came as {bytes} bytes of update");
    let moved = sticky.get_offset(&ada.doc.transact()).expect("it is still there").index;
    assert_eq!(moved as usize, caret as usize + changed.len() - text.len());
    assert!(changed[moved as usize..].starts_with("1500 of"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn someone_who_types_and_a_backend_that_writes_converge() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let mut lines: Vec<String> = (0..100).map(|line| format!("line {line}\n")).collect();
    notes.written("both.md", &lines.concat()).await;
    let mut ada = Editor::join(&server, "both.md", 102).await;
    let mut bob = Editor::join(&server, "both.md", 103).await;
    for round in 0..20 {
        // Ada types at the beginning, the backend puts what it last read with one line changed.
        let read = notes.get("both.md").await;
        ada.type_at(0, &format!("ada {round}\n")).await;
        let line = 50 + round;
        lines[line] = format!("the backend was here {round}\n");
        let text = read.text().replace(&format!("line {line}\n"), &lines[line]);
        let put = notes.file("PUT", "both.md").body(text);
        let answer = notes.send(put).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let tag = answer.header("etag").to_owned();
        let edits = json!({ "unit": "utf16", "edits": [{ "op": "insert", "at": 0, "text": "" }] });
        let patched = notes.patch("both.md", &tag, &edits).await;
        assert!([200, 412].contains(&patched.status), "{}", patched.text());
    }
    bob.type_at(0, "the end\n").await;
    let is_there = || async { notes.get("both.md").await.text().contains("the end\n") };
    eventually_async("what was typed last has arrived", SOON, is_there).await;
    let text = notes.get("both.md").await.text();
    ada.hear_until(&text).await;
    bob.hear_until(&text).await;
    for round in 0..20 {
        assert_eq!(text.matches(&format!("the backend was here {round}\n")).count(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_with_a_replica_of_its_own_exchanges_updates() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let doc = Doc::with_client_id(104);
    let root = doc.get_or_insert_text("content");
    root.insert(&mut doc.transact_mut(), 0, "from a backend");
    let update = doc.transact().encode_diff_v1(&StateVector::default());
    let post = || Request::new("POST", "/v1/vaults/notes/update/r.md").body(update.clone());
    let made = notes.send(post()).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.json()["changed"], true);
    let again = notes.send(post()).await;
    assert_eq!((again.status, again.json()["changed"].as_bool()), (200, Some(false)));
    assert_eq!(again.header("etag"), made.header("etag"));
    assert_eq!(notes.get("r.md").await.text(), "from a backend");

    let mut ada = Editor::join(&server, "r.md", 105).await;
    ada.type_at(0, "hello ").await;
    let is_there = || async { notes.get("r.md").await.text() == "hello from a backend" };
    eventually_async("what was typed has arrived", SOON, is_there).await;
    // What the backend's replica lacks, by its state vector: client 104, clock 14.
    let missing = notes.ask("GET", "/update/r.md?sv=AWgO").await;
    assert_eq!(missing.status, 200, "{}", missing.text());
    assert_eq!(missing.header("content-disposition"), "attachment");
    assert_eq!(missing.header("content-type"), "application/octet-stream");
    let whole = notes.ask("GET", "/update/r.md").await;
    assert!(missing.body.len() < whole.body.len());
    let update = Update::decode_v1(&missing.body).expect("an update");
    doc.transact_mut().apply_update(update).expect("it applies");
    assert_eq!(root.get_string(&doc.transact()), "hello from a backend");

    let gap = Doc::with_client_id(106);
    let text = gap.get_or_insert_text("content");
    text.insert(&mut gap.transact_mut(), 0, "a");
    let known = gap.transact().state_vector();
    text.insert(&mut gap.transact_mut(), 1, "b");
    let update = gap.transact().encode_diff_v1(&known);
    let answer =
        notes.send(Request::new("POST", "/v1/vaults/notes/update/r.md").body(update)).await;
    assert_eq!((answer.status, answer.code().as_str()), (409, "gap_left_open"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_is_no_text_says_where_its_content_is() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let doc = Doc::with_client_id(107);
    let map = doc.get_or_insert_map("tasks");
    map.insert(&mut doc.transact_mut(), "buy", "milk");
    let update = doc.transact().encode_diff_v1(&StateVector::default());
    let made = notes.send(Request::new("POST", "/v1/vaults/notes/update/m").body(update)).await;
    assert_eq!(made.status, 201, "{}", made.text());
    let tag = made.header("etag").to_owned();
    let edits = json!({ "unit": "utf8", "edits": [{ "op": "insert", "at": 0, "text": "x" }] });
    for answer in
        [notes.get("m").await, notes.put("m", "a text").await, notes.patch("m", &tag, &edits).await]
    {
        assert_eq!((answer.status, answer.code().as_str()), (409, "not_text"));
        assert_eq!(answer.json()["details"]["root"], "tasks");
    }
    let roots = notes.ask("GET", "/files/m?roots=1").await;
    assert_eq!(roots.status, 200);
    assert_eq!(roots.json()["tasks"]["type"], "map", "{}", roots.text());
    assert_eq!(roots.json()["tasks"]["value"]["buy"], "milk");
    let by_accept = notes.file("GET", "m").header("Accept", "application/json");
    assert_eq!(notes.send(by_accept).await.text(), roots.text());
    let form = format!("\"{}-roots\"", tag.trim_matches('"'));
    assert_eq!(roots.header("etag"), form, "another form of the same state");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_present_are_listed_and_can_be_sent_away() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    notes.written("p.md", "text").await;
    let mut ada = Editor::join(&server, "p.md", 108).await;
    let mut payload = vec![1, 108, 1];
    sheaf_protocol::varint::write_text(&mut payload, "{\"name\":\"Ada\"}");
    let mut frame = Vec::new();
    frame::write_awareness(&mut frame, &payload);
    ada.socket.send(frame).await.expect("sent");
    let present = || async {
        let list = notes.ask("GET", "/awareness/p.md").await.json();
        list["clients"].as_array().is_some_and(|all| all.iter().any(|it| it["client"] == 108))
    };
    eventually_async("she is listed", SOON, present).await;
    let list = notes.ask("GET", "/awareness/p.md").await.json();
    assert_eq!(list["clients"][0]["state"]["name"], "Ada");

    let sessions = notes.ask("GET", "/sessions").await.json();
    let session = &sessions["sessions"][0];
    assert_eq!(session["document"], "p.md");
    assert_eq!(session["dialect"], "y-websocket");
    let id = session["id"].as_u64().expect("a number");
    let kick = Request::new("DELETE", &format!("/v1/sessions/{id}"));
    assert_eq!(notes.send(kick.clone()).await.status, 204);
    let end = ada.socket.end(SOON).await;
    assert_eq!(end, sheaf_tests::socket::Heard::Closed(4403));
    let is_gone = || async {
        let list = notes.ask("GET", "/sessions").await.json();
        list["sessions"].as_array().is_some_and(Vec::is_empty)
    };
    eventually_async("she is gone", SOON, is_gone).await;
    assert_eq!(notes.send(kick).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_update_makes_a_room_of_any_name_where_it_says_so_and_an_empty_one_an_empty_file() {
    let server = Server::start().await;
    let notes = Client::new(&server);
    let post = |rest: &str| {
        let target = format!("/v1/vaults/notes/update/{rest}");
        notes.send(Request::new("POST", &target).body(b"\x00\x00".to_vec()))
    };
    assert_eq!(post("prj%3A42").await.code(), "invalid_path");
    assert_eq!(post("prj%3A42?room=0").await.code(), "invalid_path");
    let made = post("prj%3A42?room=1").await;
    assert_eq!((made.status, &made.json()["changed"]), (201, &json!(true)), "{}", made.text());
    let again = post("prj%3A42?room=1").await;
    assert_eq!((again.status, &again.json()["changed"]), (200, &json!(false)));
    assert_eq!(again.header("etag"), made.header("etag"));
    assert_eq!(post("empty.md").await.status, 201);
    assert_eq!(notes.get("empty.md?meta=1").await.json()["kind"], "empty");
    assert_eq!(notes.get("empty.md").await.text(), "");
}
