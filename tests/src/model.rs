//! A server without sockets, as the simulations see it, and a model of one that is simple enough to
//! be right.

use std::collections::BTreeMap;

use sheaf_protocol::frame::{self, Message};
use yrs::updates::decoder::Decode;
use yrs::updates::encoder::Encode;
use yrs::{Doc, ReadTxn, StateVector, Transact, Update, WriteTxn};

/// Names one connection of a simulation; never used twice.
pub type Session = u32;
/// What a server says, to whom, in order.
pub type Said = Vec<(Session, Vec<u8>)>;

/// One document's server.
pub trait Hub {
    /// A session opens. Returns what is said at once.
    fn join(&mut self, session: Session) -> Said;
    /// A session says one frame. Returns what is said to anyone in turn.
    fn deliver(&mut self, session: Session, frame: &[u8]) -> Said;
    /// A session ends.
    fn leave(&mut self, session: Session);
    /// The server stops and starts: all sessions are gone, everything it relayed or acknowledged is
    /// not.
    fn restart(&mut self);
    /// Somebody without a session writes the whole text anew; the number chooses who and what.
    /// Returns what is said to anyone. One that takes no such writes says nothing.
    fn put(&mut self, number: u32) -> Said {
        let _ = number;
        Said::new()
    }
    /// The whole document as one v1 update.
    fn encode(&mut self) -> Vec<u8>;
}

/// The model: a document and the list of what it took in.
#[derive(Default)]
pub struct Model {
    doc: Doc,
    log: Vec<Vec<u8>>,
    /// Whether the session owes an answer to a question about a gap.
    sessions: BTreeMap<Session, bool>,
}

impl Hub for Model {
    fn join(&mut self, session: Session) -> Said {
        self.sessions.insert(session, false);
        vec![(session, self.question())]
    }

    fn deliver(&mut self, session: Session, frame: &[u8]) -> Said {
        let mut said = Said::new();
        for message in frame::messages(frame) {
            match message.expect("replicas say what they may") {
                Message::Step1(vector) => {
                    let vector = StateVector::decode_v1(vector).expect("a state vector");
                    let mut out = Vec::new();
                    frame::write_step2(&mut out, &self.doc.transact().encode_diff_v1(&vector));
                    said.push((session, out));
                }
                Message::Step2(update) => {
                    self.sessions.insert(session, false);
                    self.take(session, update, &mut said);
                }
                Message::Update(update) => {
                    if self.take(session, update, &mut said) && !self.sessions[&session] {
                        self.sessions.insert(session, true);
                        said.push((session, self.question()));
                    }
                }
                Message::Awareness(_) => self.tell_others(session, frame, &mut said),
                Message::Echo(payload) => {
                    let mut out = Vec::new();
                    frame::write_echo(&mut out, payload);
                    said.push((session, out));
                }
                Message::QueryAwareness | Message::AuthDenied(_) => {}
            }
        }
        said
    }

    fn leave(&mut self, session: Session) {
        self.sessions.remove(&session);
    }

    fn restart(&mut self) {
        self.sessions.clear();
        self.doc = Doc::new();
        for update in &self.log {
            integrate(&self.doc, update);
        }
    }

    fn encode(&mut self) -> Vec<u8> {
        self.doc.transact().encode_diff_v1(&StateVector::default())
    }
}

impl Model {
    fn question(&self) -> Vec<u8> {
        let mut out = Vec::new();
        frame::write_step1(&mut out, &self.doc.transact().state_vector().encode_v1());
        out
    }

    /// Applies and relays an update. Returns whether a part of it was left out, for want of others.
    fn take(&mut self, from: Session, update: &[u8], said: &mut Said) -> bool {
        let has_gap = integrate(&self.doc, update);
        self.log.push(update.to_vec());
        let mut out = Vec::new();
        frame::write_update(&mut out, update);
        self.tell_others(from, &out, said);
        has_gap
    }

    fn tell_others(&self, from: Session, frame: &[u8], said: &mut Said) {
        let others = self.sessions.keys().filter(|session| **session != from);
        said.extend(others.map(|session| (*session, frame.to_vec())));
    }
}

/// Applies an update and drops what cannot be integrated yet. Returns whether there was any.
fn integrate(doc: &Doc, update: &[u8]) -> bool {
    let mut txn = doc.transact_mut();
    let update = Update::decode_v1(update).expect("replicas send updates");
    txn.apply_update(update).expect("replicas send updates that fit");
    txn.has_missing_updates() && txn.prune_pending().is_some()
}
