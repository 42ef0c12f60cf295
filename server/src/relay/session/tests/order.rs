//! A client is sent what it lacks first, and only behind that what others write meanwhile.

use sheaf_protocol::hocuspocus::{self as wire, Answer, Frame, Scope};

use super::*;
use crate::auth::Caller;

/// Presence of client 1.
const PRESENCE: &[u8] = &[1, 1, 0, 2, b'{', b'}'];

#[test]
fn no_update_comes_before_the_answer_to_the_state_vector_and_none_is_lost() {
    multi(async {
        let rig = Rig::new().await;
        let mut writer = rig.connect("d", "", Role::Write).await.with_id(1);
        let mut reader = rig.connect("d", "", Role::Write).await.with_id(2);
        writer.sync().await;
        reader.expect(Got::Step1).await;
        writer.type_in("one, ").await;
        writer.durable(b"1").await;
        writer.type_in("two, ").await;
        writer.durable(b"2").await;
        // All else does not wait.
        writer.send(|out| frame::write_awareness(out, PRESENCE)).await;
        let next = reader.next().await;
        assert!(matches!(next, Got::Awareness(_)), "{next:?}");
        reader.send(|out| frame::write_echo(out, b"1")).await;
        reader.expect(Got::Echo(b"1".to_vec())).await;
        reader.send(|out| frame::write_step1(out, &[0])).await;
        reader.expect(Got::Step2).await;
        assert_eq!(reader.text(), "one, two, ");
        reader.send(|out| frame::write_echo(out, b"2")).await;
        reader.expect(Got::Echo(b"2".to_vec())).await;
        writer.type_in("three").await;
        reader.expect(Got::Update).await;
        assert_eq!(reader.text(), "one, two, three");
    });
}

#[test]
fn a_client_that_may_only_read_is_sent_updates_once_it_has_asked() {
    multi(async {
        let rig = Rig::new().await;
        let mut writer = rig.connect("d", "", Role::Write).await.with_id(1);
        let mut reader = rig.connect("d", "reader", Role::Read).await.with_id(2);
        reader.durable(b"there").await;
        writer.sync().await;
        writer.type_in("one, ").await;
        writer.durable(b"1").await;
        reader.send(|out| frame::write_step1(out, &[0])).await;
        reader.expect(Got::Step2).await;
        writer.type_in("two").await;
        reader.expect(Got::Update).await;
        assert_eq!(reader.text(), "one, two");
    });
}

#[test]
fn those_who_come_while_somebody_types_are_sent_everything_once_and_in_order() {
    const READERS: usize = 24;
    const LETTERS: usize = 600;
    multi(async {
        let rig = Rig::new().await;
        let mut writer = rig.connect("d", "", Role::Write).await.with_id(1);
        writer.sync().await;
        let mut readers = Vec::new();
        for number in 0..READERS {
            // Nobody waits for these.
            for _ in 0..LETTERS / READERS {
                writer.type_in("x").await;
            }
            let mut reader = rig.connect("d", "", Role::Read).await.with_id(2 + number as u64);
            reader.send(|out| frame::write_echo(out, b"there")).await;
            reader.expect(Got::Echo(b"there".to_vec())).await;
            reader.send(|out| frame::write_step1(out, &[0])).await;
            readers.push(reader);
        }
        for mut reader in readers {
            reader.expect(Got::Step2).await;
            while reader.text().len() < LETTERS {
                let before = reader.text().len();
                reader.expect(Got::Update).await;
                assert!(reader.text().len() > before, "sent twice, or too early");
            }
        }
    });
}

/// A Hocuspocus client of one document, `d`.
struct Provider {
    socket: WebSocketStream<TcpStream>,
}

/// What the server said.
#[derive(Debug, PartialEq)]
enum Told {
    Scope,
    Step1,
    Step2,
    Update,
    Awareness,
    Note(String),
    Status,
}

impl Provider {
    async fn connect(rig: &Rig) -> Self {
        let about = About::Many { vault: VaultName::default(), caller: Caller::anyone() };
        let mut provider = Self { socket: rig.open(about).await };
        provider.send(|out| wire::write_auth(out, "d", "", Some("4.8.0"))).await;
        provider.expect(Told::Scope).await;
        provider
    }

    async fn send(&mut self, write: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = Vec::new();
        write(&mut bytes);
        self.socket.send(Ws::binary(bytes)).await.expect("sent");
    }

    async fn next(&mut self) -> Told {
        let next = tokio::time::timeout(DEADLINE, self.socket.next()).await.expect("in time");
        let Some(Ok(Ws::Binary(bytes))) = next else { panic!("unexpected {next:?}") };
        let Ok(Frame::Addressed { message, .. }) = wire::answer(&bytes) else {
            panic!("{bytes:?}")
        };
        match message {
            Answer::AuthScope(Scope::ReadWrite) => Told::Scope,
            Answer::Document(Message::Step1(_)) => Told::Step1,
            Answer::Document(Message::Step2(_)) => Told::Step2,
            Answer::Document(Message::Update(_)) => Told::Update,
            Answer::Document(Message::Awareness(_)) => Told::Awareness,
            Answer::Stateless(note) => Told::Note(note.to_owned()),
            Answer::SyncStatus(true) => Told::Status,
            other => panic!("unexpected {other:?}"),
        }
    }

    async fn expect(&mut self, expected: Told) {
        assert_eq!(self.next().await, expected);
    }
}

#[test]
fn a_hocuspocus_document_is_sent_no_update_before_its_answer_either() {
    multi(async {
        let rig = Rig::new().await;
        let mut writer = rig.connect("d", "", Role::Write).await.with_id(1);
        writer.sync().await;
        let mut reader = Provider::connect(&rig).await;
        // Once others see it, its document is open.
        let shown = [1, 2, 0, 2, b'{', b'}'];
        reader.send(|out| wire::write_awareness(out, "d", &shown)).await;
        let next = writer.next().await;
        assert!(matches!(next, Got::Awareness(_)), "{next:?}");
        writer.type_in("one, ").await;
        writer.durable(b"1").await;
        writer.type_in("two, ").await;
        writer.durable(b"2").await;
        let mut other = Provider::connect(&rig).await;
        other.send(|out| wire::write_stateless(out, "d", "note")).await;
        reader.expect(Told::Note("note".to_owned())).await;
        reader.send(|out| wire::write_step1(out, "d", &[0])).await;
        reader.expect(Told::Step2).await;
        reader.expect(Told::Step1).await;
        writer.type_in("three").await;
        reader.expect(Told::Update).await;
    });
}
