//! What each writer wrote, what was acknowledged to it, what was delivered to it; and the check of
//! a restarted server against all of it.

use std::collections::{BTreeMap, BTreeSet};

use sheaf_client::replica::Replica;
use yrs::updates::decoder::Decode;
use yrs::{Doc, Options, ReadTxn, StateVector, Transact, Update};

use super::writer::Writer;

/// Tokens are of one width, so that every multiple of it is a place between tokens.
pub(super) const TOKEN_UNITS: u32 = 10;

/// The books of one writer.
#[derive(Default)]
pub(super) struct Ledger {
    /// Tokens 0 to this, exclusive, were inserted.
    pub(super) written: u32,
    /// Tokens below this were inserted before an echo was asked for that came back.
    pub(super) acknowledged: u32,
    /// The same, without the end of the run, when everything is.
    pub(super) acknowledged_live: u32,
    /// Tokens erased again, in order; entered before the edit.
    pub(super) erased: Vec<u32>,
    /// How many of them before an echo that came back.
    pub(super) erasures_acknowledged: usize,
    /// Updates that arrived since the last check.
    pub(super) delivered: Vec<Vec<u8>>,
    /// All that ever arrived.
    pub(super) delivered_count: usize,
}

/// The text of a writer's token.
pub(super) fn token(writer: u32, number: u32) -> String {
    format!("<{writer}:{number:06}>")
}

/// Checks what a server serves right after its start, in one document.
pub(super) fn check(reader: &Replica, writers: &mut [&mut Writer]) -> Result<(), String> {
    let text = reader.text();
    let found = count(&text)?;
    for (token, times) in &found {
        if *times > 1 {
            return Err(format!("{token} stands there {times} times"));
        }
    }
    let mut possible = BTreeSet::new();
    for writer in writers.iter() {
        let ledger = writer.ledger();
        possible.extend((0..ledger.written).map(|number| token(writer.number(), number)));
        for number in 0..ledger.acknowledged {
            let token = token(writer.number(), number);
            if !found.contains_key(token.as_str()) && !ledger.erased.contains(&number) {
                return Err(format!("{token} was acknowledged and is lost"));
            }
        }
        for number in &ledger.erased[..ledger.erasures_acknowledged] {
            let token = token(writer.number(), *number);
            if found.contains_key(token.as_str()) {
                return Err(format!("{token}: its erasure was acknowledged and is lost"));
            }
        }
    }
    if let Some(token) = found.keys().find(|token| !possible.contains(**token)) {
        return Err(format!("nobody wrote {token}"));
    }
    check_delivered(reader, writers)
}

/// What was delivered changes nothing: the server has it.
fn check_delivered(reader: &Replica, writers: &mut [&mut Writer]) -> Result<(), String> {
    let doc = Doc::with_options(Options { cleanup_formatting: false, ..Options::default() });
    apply(&doc, &reader.encode());
    let encode = |doc: &Doc| doc.transact().encode_diff_v1(&StateVector::default());
    let before = encode(&doc);
    for writer in writers {
        let delivered = std::mem::take(&mut writer.ledger().delivered);
        for update in &delivered {
            apply(&doc, update);
        }
        if encode(&doc) != before || doc.transact().has_missing_updates() {
            let (number, count) = (writer.number(), delivered.len());
            return Err(format!("of {count} updates delivered to writer {number}, some are lost"));
        }
    }
    Ok(())
}

/// Everything that was written stands there, except what was erased.
pub(super) fn check_complete(reader: &Replica, writers: &[&mut Writer]) -> Result<(), String> {
    let text = reader.text();
    let found = count(&text)?;
    for writer in writers {
        let ledger = writer.ledger();
        for number in 0..ledger.written {
            let token = token(writer.number(), number);
            if found.contains_key(token.as_str()) == ledger.erased.contains(&number) {
                return Err(format!("{token} is not as its writer left it"));
            }
        }
    }
    Ok(())
}

/// How often each token stands in the text, which holds nothing else.
fn count(text: &str) -> Result<BTreeMap<&str, u32>, String> {
    let mut found = BTreeMap::new();
    for piece in text.as_bytes().chunks(TOKEN_UNITS as usize) {
        let piece =
            std::str::from_utf8(piece).map_err(|_| "there is something strange".to_owned())?;
        if piece.len() != TOKEN_UNITS as usize || !piece.starts_with('<') || !piece.ends_with('>') {
            return Err(format!("{piece:?} is no token"));
        }
        *found.entry(piece).or_default() += 1;
    }
    Ok(found)
}

fn apply(doc: &Doc, update: &[u8]) {
    let update = Update::decode_v1(update).expect("what arrived was decoded before");
    doc.transact_mut().apply_update(update).expect("and applied");
}
