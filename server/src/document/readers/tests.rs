use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use sheaf_ground::time::{Clock, Moment};
use sheaf_protocol::{limits, scan};

use super::presence::Telling;
use super::*;
use crate::document::fanout::{Framing, Piece};

/// A way out that is always free. It keeps the last state of each presence piece, and the bytes of
/// each other one.
#[derive(Default)]
struct Way {
    sent: Mutex<Vec<String>>,
    woken: Mutex<usize>,
}

struct Plain;

impl Framing for Plain {
    fn slot(&self) -> Option<usize> {
        Some(0)
    }

    fn frame_update(&self, update: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(update);
    }

    fn frame_note(&self, note: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(note);
    }

    fn frame_presence(&self, shown: &[Shown], out: &mut Vec<u8>) {
        let states = shown.iter().filter_map(|one| one.state.as_deref());
        states.for_each(|state| out.extend_from_slice(state.as_bytes()));
    }
}

impl Outlet for Way {
    fn reserve(&self) -> bool {
        true
    }

    fn send(&self, piece: &dyn Piece) {
        let bytes = piece.framed(&Plain);
        self.sent.lock().push(String::from_utf8(bytes.to_vec()).expect("text"));
    }

    fn wake(&self) {
        *self.woken.lock() += 1;
    }
}

fn readers() -> Readers {
    Readers::new(Arc::new(Clocks::above(0)))
}

/// A reader whose state vector was answered.
fn join(readers: &mut Readers) -> (ReaderId, Arc<Way>) {
    let (id, way) = come(readers);
    readers.follow(id);
    (id, way)
}

/// One that has not asked.
fn come(readers: &mut Readers) -> (ReaderId, Arc<Way>) {
    let way = Arc::new(Way::default());
    (readers.join(Arc::clone(&way) as _, Principal::Anonymous, true), way)
}

fn gather(readers: &mut Readers, id: ReaderId) -> Gathered {
    let mut gathered = Gathered::default();
    readers.gather(id, &mut gathered);
    gathered
}

fn publish(readers: &mut Readers, update: &str) -> Fanout {
    readers.publish(None, std::iter::once(update.as_bytes()), Firsts::default())
}

fn publish_all(readers: &mut Readers, updates: &[&str]) {
    for update in updates {
        let fanout = publish(readers, update);
        fanout.send();
        readers.delivered(fanout);
    }
}

fn announce(readers: &mut Readers, by: ReaderId, note: &str) {
    let fanout = readers.announce(by, note);
    fanout.send();
    readers.delivered(fanout);
}

fn texts(gathered: &Gathered) -> Vec<String> {
    let bytes = gathered.chunks.iter().map(|chunk| chunk.framed(&Plain).to_vec());
    bytes.map(|bytes| String::from_utf8(bytes).expect("text")).collect()
}

/// Shows a number as the state of client 5.
fn show(readers: &mut Readers, id: ReaderId, number: u32, now: Moment) -> Telling {
    let state = format!("{:03}", 100 + number);
    let mut bytes = vec![1, 5];
    sheaf_protocol::varint::write_uint(&mut bytes, u64::from(number));
    sheaf_protocol::varint::write_text(&mut bytes, &state);
    readers.show(id, &scan::awareness(&bytes).expect("scans"), now)
}

#[test]
fn presence_is_told_thirty_times_a_second_however_often_it_is_shown() {
    let (clock, hand) = Clock::test(0);
    let mut readers = readers();
    let (shower, own) = join(&mut readers);
    let (other, way) = join(&mut readers);
    readers.claim(shower, 5);
    assert!(
        matches!(show(&mut readers, shower, 1, clock.now()), Telling::Now(fanout)
        if fanout.to.is_empty()),
        "the other has not gathered yet"
    );
    gather(&mut readers, shower);
    gather(&mut readers, other);
    let mut due: Option<Moment> = None;
    for number in 2..=200 {
        hand.advance(Duration::from_millis(5));
        let now = clock.now();
        if due.is_some_and(|due| due <= now) {
            due = None;
            let fanout = readers.tell(now);
            fanout.send();
            readers.delivered(fanout);
        }
        match show(&mut readers, shower, number, now) {
            Telling::Nothing => assert!(due.is_some(), "somebody has promised to tell"),
            Telling::At(then) => assert!(due.replace(then).is_none(), "one promise is enough"),
            Telling::Now(fanout) => {
                assert!(due.is_none());
                fanout.send();
                readers.delivered(fanout);
            }
        }
    }
    let fanout = readers.tell(clock.now());
    fanout.send();
    readers.delivered(fanout);
    // 199 showings in 995 ms, and the last telling is the one after the loop.
    let sent = way.sent.lock();
    assert!((25..=31).contains(&sent.len()), "told {} times: {sent:?}", sent.len());
    assert!(sent.is_sorted());
    assert_eq!(sent.last().map(String::as_str), Some("300"), "the latest is never lost");
    assert!(own.sent.lock().is_empty(), "nobody is told of themselves");
}

#[test]
fn a_reader_whose_way_out_is_reserved_gets_what_comes_meanwhile_after_it() {
    let mut readers = readers();
    let (reader, way) = join(&mut readers);
    gather(&mut readers, reader);
    let first = publish(&mut readers, "first");
    assert_eq!(first.to.len(), 1, "it is idle");
    let second = publish(&mut readers, "second");
    assert!(second.to.is_empty(), "the first has not left yet");
    second.send();
    readers.delivered(second);
    first.send();
    assert_eq!(*way.woken.lock(), 0, "it would find its way out reserved");
    readers.delivered(first);
    assert_eq!(*way.woken.lock(), 1);
    let gathered = gather(&mut readers, reader);
    assert_eq!(*way.sent.lock(), ["first"]);
    assert_eq!(texts(&gathered), ["second"]);
}

#[test]
fn a_reader_that_has_not_asked_is_sent_notes_and_no_updates_and_keeps_none_of_them() {
    let mut readers = readers();
    let (writer, _) = join(&mut readers);
    let (reader, way) = come(&mut readers);
    publish_all(&mut readers, &["before it has looked"]);
    assert!(gather(&mut readers, reader).chunks.is_empty());
    publish_all(&mut readers, &["while it is idle"]);
    assert_eq!((way.sent.lock().len(), *way.woken.lock()), (0, 0));
    announce(&mut readers, writer, "note");
    assert_eq!(*way.sent.lock(), ["note"]);
    gather(&mut readers, writer);
    assert_eq!(readers.tail_bytes(), 0);
    readers.follow(reader);
    publish_all(&mut readers, &["after the answer"]);
    assert_eq!(*way.sent.lock(), ["note", "after the answer"]);
}

#[test]
fn a_reader_that_has_not_asked_and_is_behind_a_note_misses_nothing_but_updates() {
    let mut readers = readers();
    let (writer, _) = join(&mut readers);
    let (reader, _) = come(&mut readers);
    announce(&mut readers, writer, "note");
    publish_all(&mut readers, &["update"]);
    assert_eq!(texts(&gather(&mut readers, reader)), ["note"]);
    let (reader, _) = come(&mut readers);
    announce(&mut readers, writer, "lost");
    let page = "x".repeat(limits::TAIL_BYTES_MAX / 2);
    publish_all(&mut readers, &[&page, &page, &page]);
    let gathered = gather(&mut readers, reader);
    assert!(gathered.missed.is_none(), "it is in the answer");
    assert!(gathered.chunks.is_empty());
}

/// A figure of decision 20: every connection has one.
#[test]
fn a_reader_stays_small() {
    assert!(size_of::<Reader>() <= 112, "reader: {}", size_of::<Reader>());
}
