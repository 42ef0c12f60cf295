mod order;

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use sheaf_protocol::frame::{self, Message, messages};
use sheaf_protocol::ids::{Principal, VaultName};
use sheaf_protocol::scan;
use tempfile::TempDir;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message as Ws;
use tokio_tungstenite::tungstenite::protocol::Role as WsRole;
use tokio_tungstenite::tungstenite::protocol::frame::Frame as WsFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data as OpData, OpCode};
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{GetString, ReadTxn, Text, Transact, WriteTxn};

use super::talk::Talk;
use super::*;
use crate::auth::Role;
use crate::auth::{Grant, Leash};
use crate::document::author::Author;
use crate::document::handle::Handle;
use crate::document::handle::Name;
use crate::document::tests::{Ground, run as multi};
use crate::memory::Budget;
use crate::relay::dialect::family::Family;
use crate::relay::dialect::ywebsocket::YWebsocket;
use crate::relay::outbound::Outbound;
use crate::vault::condition::ANYHOW;
use crate::vault::config::Devices;
use crate::vault::{Terms, Vaults};
use sheaf_ground::task::Group;
use sheaf_ground::time::Clock;
use sheaf_storage::journal::Journal;

const DEADLINE: Duration = Duration::from_secs(10);

/// Stands for the answer to a handshake.
const GREETING: &[u8] = b"hello\r\n\r\n";

struct Rig {
    relay: Arc<Relay>,
    journal: Journal,
    listener: TcpListener,
    tasks: Group,
    _dir: TempDir,
}

impl Rig {
    async fn new() -> Self {
        Self::keeping(Terms::default()).await
    }

    async fn keeping(terms: Terms) -> Self {
        let dir = TempDir::new().expect("a directory");
        let clock = Clock::system();
        let Ground { shared, registry, .. } = Ground::open(dir.path(), &clock, 1 << 30);
        let vaults = Vaults::keeping(registry.clone(), terms, None).expect("items are read");
        let relay = Relay {
            registry,
            vaults,
            budget: Budget::new(64 << 20),
            limits: Limits {
                message_bytes_max: 16 << 20,
                auth_time_max: Duration::from_secs(30),
                ping_idle: Duration::from_secs(20),
                session_idle: Duration::from_secs(40),
            },
            clock,
            metrics: shared.metrics,
            pulse: Arc::default(),
            announced: sheaf_protocol::control::Limits::default(),
        };
        let journal = shared.journal;
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let tasks = Group::new(relay.metrics.task_panics.clone());
        Self { relay: Arc::new(relay), journal, listener, tasks, _dir: dir }
    }

    /// The text that a newcomer is sent.
    async fn read(&self, document: &str) -> String {
        let mut newcomer = self.connect(document, "", Role::Write).await.with_id(1_000_000);
        newcomer.sync().await;
        newcomer.text()
    }

    /// A client of the document `d` that has it all.
    async fn synced(&self, id: u64) -> Client {
        let mut client = self.connect("d", "", Role::Write).await.with_id(id);
        client.sync().await;
        client
    }

    async fn connect(&self, document: &str, who: &str, role: Role) -> Client {
        let principal = match who {
            "" => Principal::Anonymous,
            name => Principal::Named(Arc::from(name)),
        };
        let about = About::Document {
            family: Family::YWebsocket,
            name: Name { vault: VaultName::default(), document: Arc::from(document) },
            leash: Leash::detached(Grant { principal, role }),
        };
        let doc = yrs::Doc::with_client_id(u64::from(u32::MAX));
        Client { socket: self.open(about).await, doc }
    }

    async fn open(&self, about: About) -> WebSocketStream<TcpStream> {
        let address = self.listener.local_addr().expect("bound");
        let (near, far) = tokio::join!(TcpStream::connect(address), self.listener.accept());
        let opened = Opened {
            greeting: GREETING.to_vec(),
            stream: far.expect("accepted").0.into(),
            leftover: Vec::new(),
            about,
            permit: None,
        };
        accept(Arc::clone(&self.relay), opened, &self.tasks, tracing::Span::none());
        let mut near = near.expect("connected");
        let mut greeting = [0; GREETING.len()];
        near.read_exact(&mut greeting).await.expect("greeted before anything else");
        assert_eq!(greeting, *GREETING);
        WebSocketStream::from_raw_socket(near, WsRole::Client, None).await
    }
}

struct Client {
    socket: WebSocketStream<TcpStream>,
    doc: yrs::Doc,
}

/// What a test waits for.
#[derive(Debug, PartialEq)]
enum Got {
    Step1,
    Step2,
    Update,
    Awareness(Vec<(u64, u32, String)>),
    Denied,
    Echo(Vec<u8>),
    Closed(u16),
}

impl Client {
    fn with_id(mut self, id: u64) -> Self {
        self.doc = yrs::Doc::with_client_id(id);
        self
    }

    /// With a replica that has been elsewhere.
    fn with(mut self, doc: yrs::Doc) -> Self {
        self.doc = doc;
        self
    }

    async fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        self.socket.send(Ws::binary(bytes)).await.expect("sent");
    }

    /// Types into the document and sends the update.
    async fn type_in(&mut self, text: &str) {
        let update = self.type_offline(text);
        self.send(|out| frame::write_update(out, &update)).await;
    }

    fn type_offline(&self, text: &str) -> Vec<u8> {
        let mut txn = self.doc.transact_mut();
        let root = txn.get_or_insert_text("content");
        root.push(&mut txn, text);
        txn.encode_update_v1()
    }

    async fn next(&mut self) -> Got {
        let next = tokio::time::timeout(DEADLINE, self.socket.next()).await.expect("in time");
        match next {
            None | Some(Err(_)) => Got::Closed(1006),
            Some(Ok(Ws::Close(close))) => {
                Got::Closed(close.map_or(1005, |close| close.code.into()))
            }
            Some(Ok(Ws::Binary(bytes))) => {
                let all: Vec<_> = messages(&bytes).collect();
                assert_eq!(all.len(), 1, "one protocol message a frame");
                self.message(all[0].expect("well formed"))
            }
            Some(Ok(other)) => panic!("unexpected {other:?}"),
        }
    }

    fn message(&mut self, message: Message<'_>) -> Got {
        match message {
            Message::Step1(_) => Got::Step1,
            Message::Step2(update) => {
                self.apply(update);
                Got::Step2
            }
            Message::Update(update) => {
                self.apply(update);
                Got::Update
            }
            Message::Awareness(bytes) => {
                let entries = scan::awareness(bytes).expect("scans");
                let entry = |entry: scan::AwarenessEntry<'_>| {
                    (entry.client, entry.clock, entry.state.to_owned())
                };
                Got::Awareness(entries.entries().map(entry).collect())
            }
            Message::AuthDenied(_) => Got::Denied,
            Message::Echo(bytes) => Got::Echo(bytes.to_vec()),
            Message::QueryAwareness => panic!("the server does not ask"),
        }
    }

    fn apply(&self, update: &[u8]) {
        let update = yrs::Update::decode_v1(update).expect("decodes");
        self.doc.transact_mut().apply_update(update).expect("applies");
    }

    async fn expect(&mut self, expected: Got) {
        assert_eq!(self.next().await, expected);
    }

    /// Reads until a message of this kind has come.
    async fn until(&mut self, expected: Got) {
        loop {
            match self.next().await {
                got if got == expected => return,
                Got::Closed(code) => panic!("closed with {code}, waiting for {expected:?}"),
                _ => {}
            }
        }
    }

    /// Asks for what it lacks.
    async fn ask(&mut self) {
        let vector = self.doc.transact().state_vector().encode_v1();
        self.send(|out| frame::write_step1(out, &vector)).await;
    }

    async fn answer_step1(&mut self) {
        let answer = whole(&self.doc);
        self.send(|out| frame::write_step2(out, &answer)).await;
    }

    /// The opening exchange of a stock client.
    async fn sync(&mut self) {
        self.expect(Got::Step1).await;
        self.ask().await;
        self.until(Got::Step2).await;
        self.answer_step1().await;
    }

    async fn durable(&mut self, tag: &[u8]) {
        self.send(|out| frame::write_echo(out, tag)).await;
        self.until(Got::Echo(tag.to_vec())).await;
    }

    fn text(&self) -> String {
        let txn = self.doc.transact();
        txn.get_text("content").map(|text| text.get_string(&txn)).unwrap_or_default()
    }
}

/// All that a replica has, as an answer to one that has nothing.
fn whole(doc: &yrs::Doc) -> Vec<u8> {
    doc.transact().encode_diff_v1(&yrs::StateVector::default())
}

#[test]
fn an_edit_reaches_the_other_reader_as_sent_and_is_acknowledged_when_durable() {
    multi(async {
        let rig = Rig::new().await;
        let mut a = rig.synced(1).await;
        let mut b = rig.synced(2).await;
        a.type_in("hello").await;
        b.until(Got::Update).await;
        assert_eq!(b.text(), "hello");
        a.durable(b"1").await;
        assert!(rig.journal.durable() > 0);
        assert_eq!(rig.read("d").await, "hello");
    });
}

#[test]
fn a_gap_is_asked_for_once_and_an_open_one_ends_the_session() {
    multi(async {
        let rig = Rig::new().await;
        let mut a = rig.synced(1).await;
        a.durable(b"0").await;
        a.type_offline("lost ");
        a.type_in("kept").await;
        a.expect(Got::Step1).await;
        // Waits for the answer: what came before it is not in yet.
        a.send(|out| frame::write_echo(out, b"1")).await;
        a.answer_step1().await;
        a.expect(Got::Echo(b"1".to_vec())).await;
        assert_eq!(rig.read("d").await, "lost kept");

        a.type_offline("lost ");
        a.type_in("again").await;
        a.expect(Got::Step1).await;
        let second = a.type_offline("!");
        a.send(|out| frame::write_step2(out, &second)).await;
        a.until(Got::Closed(4410)).await;
    });
}

#[test]
fn a_read_only_session_changes_nothing_and_is_told_once() {
    multi(async {
        let rig = Rig::new().await;
        let mut a = rig.connect("d", "reader", Role::Read).await.with_id(1);
        a.type_in("no").await;
        a.expect(Got::Denied).await;
        a.type_in("no").await;
        a.send(|out| frame::write_step1(out, &[0])).await;
        a.expect(Got::Step2).await;
        assert_eq!(rig.read("d").await, "");
    });
}

/// The replica of a document that was written, and deleted.
async fn deleted(rig: &Rig) -> yrs::Doc {
    let mut old = rig.synced(1).await;
    old.type_in("text").await;
    old.durable(b"1").await;
    let (vault, vaults) = (VaultName::default(), &rig.relay.vaults);
    let by = Author::of(&Principal::Anonymous);
    vaults.delete_file(&vault, "d", by, ANYHOW).await.expect("deleted");
    old.until(Got::Closed(4404)).await;
    old.doc
}

/// As `deleted`, and made again with the same text.
async fn made_again(rig: &Rig) -> yrs::Doc {
    let old = deleted(rig).await;
    let mut next = rig.synced(2).await;
    next.type_in("text").await;
    next.durable(b"1").await;
    old
}

#[test]
fn a_client_of_a_deleted_document_is_sent_nothing_of_the_next_and_told_where_its_copy_is() {
    multi(async {
        let rig = Rig::new().await;
        let old = made_again(&rig).await;
        let mut back = rig.connect("d", "", Role::Write).await.with(old);
        back.type_offline(", and more");
        back.expect(Got::Step1).await;
        back.ask().await;
        // What others type now would stand in its text, too.
        let mut other = rig.synced(3).await;
        other.type_in("!").await;
        other.durable(b"1").await;
        back.send(|out| frame::write_echo(out, b"1")).await;
        back.answer_step1().await;
        back.until(Got::Denied).await;
        back.expect(Got::Closed(4414)).await;
        assert_eq!(back.text(), "text, and more");
        assert_eq!(rig.read("d").await, "text!");
        let files = rig.relay.vaults.files(&VaultName::default(), "d (conflict ", None, 9);
        let copy = files.expect("listed").items.remove(0).path;
        assert_eq!(rig.read(&copy).await, "text, and more");
    });
}

#[test]
fn a_reader_of_a_deleted_document_is_told_and_sent_nothing_of_the_next() {
    multi(async {
        let rig = Rig::new().await;
        let old = made_again(&rig).await;
        let mut back = rig.connect("d", "reader", Role::Read).await.with(old);
        back.ask().await;
        back.expect(Got::Closed(4414)).await;
        assert_eq!(rig.read("d").await, "text");
    });
}

#[test]
fn a_history_that_comes_late_as_an_update_is_asked_for_whole_and_kept() {
    multi(async {
        let rig = Rig::new().await;
        let old = made_again(&rig).await;
        // Its copy is loaded when it has the new document already.
        let mut back = rig.synced(9).await;
        back.apply(&whole(&old));
        back.type_offline(", and more");
        let late = whole(&back.doc);
        back.send(|out| frame::write_update(out, &late)).await;
        back.until(Got::Step1).await;
        back.answer_step1().await;
        back.until(Got::Denied).await;
        back.expect(Got::Closed(4414)).await;
        assert_eq!(rig.read("d").await, "text");
    });
}

#[test]
fn a_copy_of_the_past_does_not_come_back_to_a_client_on_yjs_14_as_if_it_were_here() {
    multi(async {
        let rig = Rig::new().await;
        let old = made_again(&rig).await;
        let mut back = rig.synced(9).await;
        // By what it shows itself with, an id beyond 32 bits, it is known.
        let wide = [1, 0x80, 0x80, 0x80, 0x80, 0x10, 1, 2, b'{', b'}'];
        back.send(|out| frame::write_awareness(out, &wide)).await;
        back.durable(b"1").await;
        back.apply(&whole(&old));
        back.type_offline(", and more");
        back.answer_step1().await;
        back.expect(Got::Step1).await;
        back.expect(Got::Denied).await;
        back.expect(Got::Closed(4414)).await;
        assert_eq!(rig.read("d").await, "text");
    });
}

#[test]
fn an_edit_of_a_deleted_document_brings_it_back_and_its_client_comes_again() {
    multi(async {
        let rig = Rig::new().await;
        let old = deleted(&rig).await;
        let mut idle = rig.synced(5).await;
        let mut back = rig.connect("d", "", Role::Write).await.with(old);
        back.type_offline(", and more");
        back.expect(Got::Step1).await;
        back.ask().await;
        back.answer_step1().await;
        back.until(Got::Closed(1012)).await;
        idle.until(Got::Closed(4500)).await;
        assert_eq!(rig.read("d").await, "text, and more");
    });
}

#[test]
fn a_copy_of_a_forgotten_document_is_not_mixed_into_the_next_and_its_client_is_told() {
    multi(async {
        let devices = Devices { tombstones_days_min: 0, ..Devices::default() };
        let rig = Rig::keeping(Terms { devices, ..Terms::default() }).await;
        let old = made_again(&rig).await;
        let stopping = rig.tasks.stopping();
        assert_eq!(rig.relay.vaults.prune(stopping).await, 1);
        for _ in 0..2 {
            let copy = yrs::Doc::with_client_id(7);
            let whole = old.transact().encode_diff_v1(&yrs::StateVector::default());
            let whole = yrs::Update::decode_v1(&whole).expect("an update of yrs");
            copy.transact_mut().apply_update(whole).expect("it applies");
            let mut back = rig.connect("d", "", Role::Write).await.with(copy);
            back.type_offline(", and more");
            back.expect(Got::Step1).await;
            back.ask().await;
            back.answer_step1().await;
            back.until(Got::Closed(4414)).await;
            assert_eq!(back.text(), "text, and more", "its own text is its");
            assert_eq!(rig.read("d").await, "text");
        }
        let files = rig.relay.vaults.files(&VaultName::default(), "", None, 9);
        assert_eq!(files.expect("listed").items.len(), 1);
    });
}

/// The replica of a document that was written, and moved from `d` to `e`.
async fn moved(rig: &Rig) -> yrs::Doc {
    let mut old = rig.synced(1).await;
    old.type_in("text").await;
    old.durable(b"1").await;
    let (vault, vaults) = (VaultName::default(), &rig.relay.vaults);
    let by = Author::of(&Principal::Anonymous);
    vaults.move_file(&vault, "d", "e", by, ANYHOW).await.expect("moved");
    old.until(Got::Closed(1012)).await;
    old.doc
}

fn paths(rig: &Rig) -> Vec<String> {
    let files = rig.relay.vaults.files(&VaultName::default(), "", None, 9);
    files.expect("listed").items.into_iter().map(|file| file.path.to_string()).collect()
}

#[test]
fn a_client_of_a_moved_document_goes_on_in_it_by_the_name_it_had() {
    multi(async {
        let rig = Rig::new().await;
        let old = moved(&rig).await;
        let mut reader = rig.connect("e", "", Role::Write).await.with_id(5);
        reader.sync().await;
        let mut back = rig.connect("d", "", Role::Write).await.with(old);
        back.type_offline(", offline");
        back.expect(Got::Step1).await;
        // All of it in one frame: what comes behind its question waits for the document.
        let (vector, answer) = (back.doc.transact().state_vector().encode_v1(), whole(&back.doc));
        let live = back.type_offline(", and live");
        back.send(|out| {
            frame::write_step1(out, &vector);
            frame::write_step2(out, &answer);
            frame::write_awareness(out, &[1, 1, 1, 2, b'{', b'}']);
            frame::write_update(out, &live);
        })
        .await;
        back.durable(b"all").await;
        assert_eq!(rig.read("e").await, "text, offline, and live");
        assert_eq!(paths(&rig), ["e"]);
        while reader.text() != "text, offline, and live" {
            reader.next().await;
        }
        reader.type_in("!").await;
        while back.text() != "text, offline, and live!" {
            assert!(!matches!(back.next().await, Got::Closed(_)));
        }
        // Others at its place see it there.
        let mut late = rig.connect("e", "", Role::Write).await.with_id(6);
        late.ask().await;
        loop {
            if let Got::Awareness(shown) = late.next().await
                && shown.iter().any(|(client, ..)| *client == 1)
            {
                break;
            }
        }
    });
}

#[test]
fn a_client_of_a_moved_document_is_sent_nothing_of_what_has_its_name_now() {
    multi(async {
        let rig = Rig::new().await;
        let old = moved(&rig).await;
        let mut next = rig.synced(2).await;
        next.type_in("text").await;
        next.durable(b"1").await;
        let mut back = rig.connect("d", "", Role::Write).await.with(old);
        back.type_offline(", and more");
        back.sync().await;
        back.durable(b"1").await;
        next.type_in("!").await;
        next.durable(b"2").await;
        back.type_in(" of it").await;
        back.durable(b"2").await;
        assert_eq!(back.text(), "text, and more of it");
        assert_eq!(rig.read("e").await, "text, and more of it");
        assert_eq!(rig.read("d").await, "text!");
    });
}

#[test]
fn a_copy_of_a_moved_document_that_is_loaded_late_is_taken_in_where_that_is() {
    multi(async {
        let rig = Rig::new().await;
        let old = moved(&rig).await;
        let mut back = rig.synced(9).await;
        back.apply(&whole(&old));
        back.type_offline(", and more");
        let late = whole(&back.doc);
        back.send(|out| frame::write_update(out, &late)).await;
        back.until(Got::Step1).await;
        back.answer_step1().await;
        back.durable(b"1").await;
        assert_eq!(rig.read("e").await, "text, and more");
        assert_eq!(paths(&rig), ["e"]);
    });
}

#[test]
fn a_reader_of_a_moved_document_goes_on_reading_it() {
    multi(async {
        let rig = Rig::new().await;
        let old = moved(&rig).await;
        let mut writer = rig.connect("e", "", Role::Write).await.with_id(5);
        writer.sync().await;
        let mut back = rig.connect("d", "reader", Role::Read).await.with(old);
        back.ask().await;
        back.until(Got::Step2).await;
        writer.type_in("!").await;
        back.until(Got::Update).await;
        assert_eq!(back.text(), "text!");
    });
}

#[test]
fn presence_is_shown_with_server_clocks_and_taken_back_on_leave() {
    multi(async {
        let rig = Rig::new().await;
        let mut a = rig.synced(1).await;
        let mut b = rig.synced(2).await;
        a.send(|out| frame::write_awareness(out, &[1, 1, 0, 2, b'{', b'}'])).await;
        let Got::Awareness(shown) = b.next().await else { panic!("presence first") };
        assert_eq!((shown[0].0, shown[0].2.as_str()), (1, "{}"));
        // An entry for somebody else's id is an echo.
        b.send(|out| frame::write_awareness(out, &[1, 1, 9, 4, b'n', b'u', b'l', b'l'])).await;
        drop(a);
        let Got::Awareness(gone) = b.next().await else { panic!("a null") };
        assert_eq!((gone[0].0, gone[0].2.as_str()), (1, "null"));
        assert!(gone[0].1 > shown[0].1);
    });
}

#[test]
fn bad_bytes_end_only_their_own_session() {
    multi(async {
        let rig = Rig::new().await;
        let mut honest = rig.synced(1).await;
        for bytes in [
            &b"\x00\x02\x05\xff\xff\xff\xff\x0f"[..],
            &[0, 0, 5, 0x80, 0x88, 0xde, 0xbe, 1],
            &[1, 5, 0x80, 0x88, 0xde, 0xbe, 1],
            &[42],
            &[0, 2, 200, 1],
        ] {
            let mut hostile = rig.connect("d", "", Role::Write).await.with_id(66);
            hostile.expect(Got::Step1).await;
            hostile.socket.send(Ws::binary(bytes.to_vec())).await.expect("sent");
            hostile.until(Got::Closed(4400)).await;
        }
        honest.type_in("fine").await;
        honest.durable(b"1").await;
    });
}

#[test]
fn forging_while_the_victim_is_connected_is_refused() {
    multi(async {
        let rig = Rig::new().await;
        let mut victim = rig.connect("d", "alice", Role::Write).await.with_id(1);
        victim.sync().await;
        victim.type_in("mine ").await;
        victim.durable(b"0").await;
        let mut forger = rig.connect("d", "bob", Role::Write).await.with_id(1);
        forger.sync().await;
        forger.type_in("FORGED").await;
        forger.until(Got::Closed(4409)).await;
        // The same by way of an answer: the victim is asked first, and holds no such clocks.
        let mut forger = rig.connect("d", "bob", Role::Write).await.with_id(1);
        forger.expect(Got::Step1).await;
        forger.send(|out| frame::write_step1(out, &[0])).await;
        forger.until(Got::Step2).await;
        forger.type_offline("FORGED");
        forger.answer_step1().await;
        victim.expect(Got::Step1).await;
        victim.answer_step1().await;
        forger.until(Got::Closed(4409)).await;
        victim.type_in("still mine").await;
        victim.durable(b"1").await;
        assert_eq!(rig.read("d").await, "mine still mine");
    });
}

#[test]
fn two_users_in_one_browser_profile_lose_nothing() {
    multi(async {
        let rig = Rig::new().await;
        let mut alice = rig.connect("d", "alice", Role::Write).await.with_id(1);
        alice.sync().await;
        alice.type_in("alice ").await;
        alice.durable(b"0").await;
        drop(alice);
        // Offline edits of alice's replica are uploaded by bob's session.
        let mut bob = rig.connect("d", "bob", Role::Write).await.with_id(1);
        bob.expect(Got::Step1).await;
        bob.send(|out| frame::write_step1(out, &[0])).await;
        bob.until(Got::Step2).await;
        bob.type_offline("offline");
        bob.answer_step1().await;
        bob.durable(b"1").await;
        assert_eq!(rig.read("d").await, "alice offline");
    });
}

#[test]
fn power_loss_after_relay_loses_nothing_that_a_reader_still_has() {
    multi(async {
        let before = Rig::new().await;
        let mut alice = before.connect("d", "alice", Role::Write).await.with_id(1);
        let mut bob = before.connect("d", "bob", Role::Write).await.with_id(2);
        alice.sync().await;
        bob.sync().await;
        alice.type_in("relayed").await;
        bob.until(Got::Update).await;
        // A disk that forgot all that was not synced: a server that knows nothing of it.
        let after = Rig::new().await;
        let mut bob = after.connect("d", "bob", Role::Write).await.with(bob.doc);
        bob.sync().await;
        bob.durable(b"0").await;
        let mut alice = after.connect("d", "alice", Role::Write).await.with(alice.doc);
        alice.sync().await;
        alice.type_in(" and more").await;
        alice.durable(b"1").await;
        bob.until(Got::Update).await;
        assert_eq!(after.read("d").await, "relayed and more");
    });
}

#[test]
fn an_owner_s_other_copy_is_kept_and_the_owner_is_told() {
    multi(async {
        let rig = Rig::new().await;
        let mut alice = rig.connect("d", "alice", Role::Write).await.with_id(1);
        alice.sync().await;
        alice.type_in("alice ").await;
        alice.durable(b"0").await;
        let mut bob = rig.connect("d", "bob", Role::Write).await.with_id(1);
        bob.sync().await;
        drop(alice);
        bob.type_offline("b's");
        bob.answer_step1().await;
        bob.durable(b"1").await;
        let mut again = rig.connect("d", "alice", Role::Write).await.with_id(1);
        again.type_offline("alice ");
        again.type_offline("own");
        again.expect(Got::Step1).await;
        again.answer_step1().await;
        again.expect(Got::Denied).await;
        again.durable(b"2").await;
    });
}

#[test]
fn sign_in_with_offline_edits_continues_an_anonymous_id() {
    multi(async {
        let rig = Rig::new().await;
        let mut nobody = rig.synced(1).await;
        nobody.type_in("before ").await;
        nobody.durable(b"0").await;
        nobody.type_offline("offline ");
        let doc = nobody.doc.clone();
        drop(nobody);
        let mut alice = rig.connect("d", "alice", Role::Write).await.with(doc);
        alice.sync().await;
        alice.type_in("after").await;
        alice.durable(b"1").await;
        assert_eq!(rig.read("d").await, "before offline after");
    });
}

#[test]
fn an_edit_sent_with_the_goodbye_is_taken_and_the_goodbye_answered() {
    multi(async {
        let rig = Rig::new().await;
        let mut a = rig.synced(1).await;
        let mut b = rig.synced(2).await;
        b.durable(b"0").await;
        let update = a.type_offline("last words");
        let mut message = Vec::new();
        frame::write_update(&mut message, &update);
        // Both in one write, as a closing tab does.
        a.socket.feed(Ws::binary(message)).await.expect("buffered");
        a.socket.feed(Ws::Close(None)).await.expect("buffered");
        a.socket.flush().await.expect("sent");
        b.until(Got::Update).await;
        assert_eq!(b.text(), "last words");
        a.until(Got::Closed(1005)).await;
    });
}

#[test]
fn a_flood_of_questions_gets_one_answer_a_turn() {
    multi(async {
        let rig = Rig::new().await;
        let mut a = rig.synced(1).await;
        a.type_in(&"x".repeat(100_000)).await;
        let flood: Vec<u8> = [0, 0, 1, 0].repeat(5_000);
        a.socket.send(Ws::binary(flood)).await.expect("sent");
        a.send(|out| frame::write_echo(out, b"1")).await;
        let mut answers = 0;
        loop {
            match a.next().await {
                Got::Step2 => answers += 1,
                Got::Echo(_) => break,
                other => panic!("unexpected {other:?}"),
            }
        }
        assert!((1..10).contains(&answers), "{answers} answers to 5,000 questions in one frame");
    });
}

#[test]
fn echoes_behind_a_gap_do_not_keep_its_answer_out() {
    multi(async {
        let rig = Rig::new().await;
        let mut a = rig.synced(1).await;
        a.durable(b"0").await;
        a.type_offline("lost ");
        a.type_in("kept").await;
        for at in 0..600_u32 {
            a.send(|out| frame::write_echo(out, &at.to_le_bytes())).await;
        }
        a.expect(Got::Step1).await;
        a.answer_step1().await;
        for at in 0..600_u32 {
            a.expect(Got::Echo(at.to_le_bytes().to_vec())).await;
        }
    });
}

#[test]
fn what_was_not_taken_is_never_acknowledged() {
    multi(async {
        let rig = Rig::new().await;
        let mut a = rig.connect("d", "reader", Role::Read).await.with_id(1);
        a.durable(b"before").await;
        a.type_in("no").await;
        a.expect(Got::Denied).await;
        a.send(|out| frame::write_echo(out, b"after")).await;
        a.send(|out| frame::write_step1(out, &[0])).await;
        a.expect(Got::Step2).await;
    });
}

#[test]
fn an_edit_behind_one_with_a_gap_is_taken_in_the_same_batch() {
    multi(async {
        let rig = Rig::new().await;
        let mut a = rig.synced(1).await;
        let mut b = rig.synced(2).await;
        b.durable(b"0").await;
        a.type_offline("lost ");
        let gapped = a.type_offline("kept");
        let own = a.doc.clone();
        a.doc = yrs::Doc::with_client_id(9);
        let whole = a.type_offline("whole");
        a.doc = own;
        let mut both = Vec::new();
        frame::write_update(&mut both, &gapped);
        frame::write_update(&mut both, &whole);
        a.socket.send(Ws::binary(both)).await.expect("sent");
        b.until(Got::Update).await;
        assert_eq!(b.text(), "whole");
    });
}

#[test]
fn fragments_and_announced_frames_are_paid_for_from_the_budget() {
    multi(async {
        let rig = Rig::new().await;
        let mut a = rig.synced(1).await;
        a.durable(b"0").await;
        let text = "y".repeat(300_000);
        let update = a.type_offline(&text);
        let mut message = Vec::new();
        frame::write_update(&mut message, &update);
        let parts: Vec<&[u8]> = message.chunks(60_000).collect();
        let last = parts.len() - 1;
        for (at, part) in parts.iter().enumerate() {
            let data = if at == 0 { OpData::Binary } else { OpData::Continue };
            let frame = WsFrame::message(part.to_vec(), OpCode::Data(data), at == last);
            a.socket.send(Ws::Frame(frame)).await.expect("sent");
            if at == last - 1 {
                a.socket.flush().await.expect("flushed");
                let used = async {
                    while rig.relay.budget.used() < 200_000 {
                        tokio::task::yield_now().await;
                    }
                };
                tokio::time::timeout(DEADLINE, used).await.expect("a permit is held");
            }
        }
        a.durable(b"1").await;
        assert_eq!(rig.relay.budget.used(), 0, "and given back");
    });
}

#[test]
fn a_large_message_arrives_in_many_reads() {
    multi(async {
        let rig = Rig::new().await;
        let mut a = rig.synced(1).await;
        a.type_in(&"0123456789".repeat(200_000)).await;
        a.durable(b"1").await;
        let b = rig.synced(2).await;
        assert_eq!(b.text().len(), 2_000_000);
    });
}

#[test]
fn a_reader_that_stalls_is_brought_up_to_date_by_a_difference() {
    multi(async {
        let rig = Rig::new().await;
        let mut a = rig.synced(1).await;
        let mut stalled = rig.synced(2).await;
        stalled.durable(b"0").await;
        let page = "x".repeat(100_000);
        for round in 0..200_u32 {
            a.type_in(&page).await;
            a.durable(&round.to_le_bytes()).await;
        }
        while stalled.text().len() < 20_000_000 {
            assert!(!matches!(stalled.next().await, Got::Closed(_)));
        }
        assert!(rig.relay.metrics.relay.resyncs.get() > 0);
    });
}

/// Figures of decision 20: a session's memory is mostly these, times ten thousand. A larger one
/// wants a reason, and a figure in `docs/scaling.md`.
#[test]
fn an_idle_session_and_its_document_stay_small() {
    let session = size_of::<Session<Talk<YWebsocket>>>();
    assert!(session <= 384, "session: {session}");
    assert!(size_of::<Outbound>() <= 160, "outbound: {}", size_of::<Outbound>());
    // 88 bytes of it are what waits, who may go on with it, and what readers were last told.
    assert!(size_of::<Handle>() <= 832, "document: {}", size_of::<Handle>());
}
