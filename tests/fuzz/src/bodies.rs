//! One body for each fuzz target, shared with the test that replays the corpus
//! (`tests/tests/integration/guard.rs`). A body panics when the guard breaks a promise.

use sheaf_protocol::control::{self, Form};
use sheaf_protocol::frame::{self, Message, messages};
use sheaf_protocol::hocuspocus::{self, Answer, Frame};
use sheaf_protocol::legacy::json_to_any;
use sheaf_protocol::limits::{ANY_DEPTH_MAX, CLOCK_END, MESSAGE_BYTES_MAX};
use sheaf_protocol::scan::{self, Content, Event};
use sheaf_protocol::units::units;
use sheaf_protocol::varint::{Reader, write_uint};

/// A target's name and its body.
pub type Target = (&'static str, fn(&[u8]));

/// Every target that needs this crate alone.
pub const TARGETS: [Target; 6] = [
    ("scan", scan),
    ("frame", frame),
    ("hocuspocus", hocuspocus),
    ("control", control),
    ("state_vector", state_vector),
    ("awareness", awareness),
];

/// An accepted update can be walked again: it fills its bytes, its counts are right, clocks chain,
/// every clock has a unit, and legacy content can be rewritten into content that scans.
pub fn scan(bytes: &[u8]) {
    let Ok(update) = scan::update(bytes) else { return };
    assert_eq!(update.bytes(), bytes);
    let (mut sections, mut blocks, mut deletes, mut expected) = (0, 0, 0, None);
    for event in update.events() {
        match event {
            Event::Section { client, clock, blocks } => {
                assert!(blocks > 0);
                sections += 1;
                expected = Some((client, clock));
            }
            Event::Block(block) => {
                blocks += 1;
                assert_eq!(expected, Some((block.id.client, block.id.clock)));
                expected = Some((block.id.client, block.end()));
                assert!(u64::from(block.end()) < CLOCK_END);
                check_block(&block);
            }
            Event::Delete { clock, len, .. } => {
                deletes += 1;
                assert!(len > 0 && u64::from(clock) + u64::from(len) < CLOCK_END);
            }
        }
    }
    let counted = (update.sections(), update.blocks(), update.deletes());
    assert_eq!((sections, blocks, deletes), counted);
    let _ = update.check_clients(&mut Vec::new());
}

fn check_block(block: &scan::Block<'_>) {
    assert!(block.len > 0);
    assert!(block.bytes.ends_with(block.content_bytes()));
    let mut count = 0;
    for unit in units(block) {
        assert!(unit.is_same(&unit));
        count += 1;
    }
    let is_gone = matches!(block.content, Content::Gc | Content::Skip | Content::Deleted);
    assert_eq!(count, if is_gone { 0 } else { block.len });
    for need in block.needs() {
        assert!(need.client != block.id.client || need.clock < block.id.clock);
    }
    if let Content::Json(_) = block.content {
        let mut update = vec![1, 1];
        write_uint(&mut update, block.id.client);
        write_uint(&mut update, u64::from(block.id.clock));
        if json_to_any(block, &mut update).is_ok() {
            update.push(0);
            let rewritten = scan::update(&update).expect("a rewritten block scans");
            let Some(Event::Block(any)) = rewritten.events().nth(1) else { panic!("a block") };
            assert_eq!((any.id, any.len, any.parent), (block.id, block.len, block.parent));
            assert!(units(block).zip(units(&any)).all(|(json, any)| json.is_same(&any)));
        }
    }
}

/// What is read from a frame, written again, reads the same.
pub fn frame(bytes: &[u8]) {
    let (mut written, mut read) = (Vec::new(), Vec::new());
    for message in messages(bytes) {
        let Ok(message) = message else { break };
        write(&mut written, message);
        read.push(message);
    }
    let again: Vec<_> = messages(&written).collect();
    assert_eq!(again, read.into_iter().map(Ok).collect::<Vec<_>>());
}

fn write(out: &mut Vec<u8>, message: Message<'_>) {
    match message {
        Message::Step1(payload) => frame::write_step1(out, payload),
        Message::Step2(payload) => frame::write_step2(out, payload),
        Message::Update(payload) => frame::write_update(out, payload),
        Message::Awareness(payload) => frame::write_awareness(out, payload),
        Message::QueryAwareness => frame::write_query_awareness(out),
        Message::AuthDenied(reason) => frame::write_auth_denied(out, reason),
        Message::Echo(payload) => frame::write_echo(out, payload),
    }
}

/// What is read from a Hocuspocus frame, of either end, written again, reads the same.
pub fn hocuspocus(bytes: &[u8]) {
    if let Ok(Frame::Addressed { address, message }) = hocuspocus::frame(bytes) {
        let session = address.session().map(|session| format!("\0{session}")).unwrap_or_default();
        assert_eq!(format!("{}{session}", address.name()), address.whole());
        if let Some(written) = said(address.whole(), message) {
            let again = hocuspocus::frame(&written);
            assert_eq!(again, Ok(Frame::Addressed { address, message }));
        }
    }
    if let Ok(Frame::Addressed { address, message }) = hocuspocus::answer(bytes) {
        let written = answered(address.whole(), message);
        let again = hocuspocus::answer(&written);
        assert_eq!(again, Ok(Frame::Addressed { address, message }));
    }
}

/// A client's message as bytes again; none for the one that we never write.
fn said(to: &str, message: hocuspocus::Message<'_>) -> Option<Vec<u8>> {
    use hocuspocus::Message;
    let mut out = Vec::new();
    match message {
        Message::Document(message) => shared(&mut out, to, message),
        Message::Auth { token, provider_version } => {
            hocuspocus::write_auth(&mut out, to, token.0, provider_version);
        }
        Message::Stateless(text) => hocuspocus::write_stateless(&mut out, to, text),
        Message::BroadcastStateless => return None,
        Message::Close => hocuspocus::write_leave(&mut out, to),
    }
    Some(out)
}

/// What every family says, as a Hocuspocus frame has it.
fn shared(out: &mut Vec<u8>, to: &str, message: Message<'_>) {
    match message {
        Message::Step1(payload) => hocuspocus::write_step1(out, to, payload),
        Message::Step2(payload) => hocuspocus::write_step2(out, to, payload),
        Message::Update(payload) => hocuspocus::write_update(out, to, payload),
        Message::Awareness(payload) => hocuspocus::write_awareness(out, to, payload),
        Message::QueryAwareness => hocuspocus::write_query_awareness(out, to),
        Message::AuthDenied(_) | Message::Echo(_) => panic!("{message:?} is not in such a frame"),
    }
}

fn answered(to: &str, message: Answer<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    match message {
        Answer::Document(message) => shared(&mut out, to, message),
        Answer::AuthAgain => hocuspocus::write_auth_again(&mut out, to),
        Answer::AuthDenied(reason) => hocuspocus::write_auth_denied(&mut out, to, reason),
        Answer::AuthScope(scope) => hocuspocus::write_auth_scope(&mut out, to, scope),
        Answer::Stateless(text) => hocuspocus::write_stateless(&mut out, to, text),
        Answer::Close(reason) => hocuspocus::write_close(&mut out, to, reason),
        Answer::SyncStatus(is_taken) => hocuspocus::write_sync_status(&mut out, to, is_taken),
    }
    out
}

/// An accepted state vector has as many entries as it says, within bounds.
pub fn state_vector(bytes: &[u8]) {
    let Ok(vector) = scan::state_vector(bytes) else { return };
    assert_eq!(vector.bytes(), bytes);
    assert_eq!(vector.entries().count(), vector.len() as usize);
    assert!(vector.entries().all(|(_, clock)| u64::from(clock) < CLOCK_END));
}

/// An accepted presence message has as many entries as it says, and each state is JSON that does
/// not nest too deep for a parser that recurses.
pub fn awareness(bytes: &[u8]) {
    let Ok(presence) = scan::awareness(bytes) else { return };
    assert_eq!(presence.bytes(), bytes);
    assert_eq!(presence.entries().count(), presence.len() as usize);
    for entry in presence.entries() {
        assert_eq!(scan::check_json(entry.state), Ok(()));
        let deepest = entry.state.bytes().scan(0usize, |depth, byte| {
            *depth = match byte {
                b'[' | b'{' => *depth + 1,
                b']' | b'}' => depth.saturating_sub(1),
                _ => *depth,
            };
            Some(*depth)
        });
        let has_strings = entry.state.contains('"');
        assert!(has_strings || deepest.max().unwrap_or(0) <= ANY_DEPTH_MAX);
        let _ = scan::skip_any(&mut Reader::new(entry.state.as_bytes()));
    }
}

/// A message that is read is written, in both forms, and read again as the same.
pub fn control(bytes: &[u8]) {
    for form in [Form::Json, Form::MessagePack] {
        let _ = control::read_reply(bytes, form);
        let Ok(request) = control::read_request(bytes, form, MESSAGE_BYTES_MAX) else { continue };
        let again = control::read_request(&control::write(&request, form), form, MESSAGE_BYTES_MAX);
        assert_eq!(again.as_ref(), Ok(&request));
    }
}
