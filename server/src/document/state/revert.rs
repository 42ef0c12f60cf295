//! A document made again what it was, whatever it holds.
//!
//! Job: take back in a copy all that came since an earlier state, as an undo does, and give that as
//! an update. Called by `author` where a document is no text. Never gives an update that does not
//! lead exactly to what was there.

use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Map, Value};
use sheaf_protocol::error::{Code, Refusal};
use yrs::block::ClientID;
use yrs::undo::{Options as Undo, UndoManager};
use yrs::updates::decoder::Decode;
use yrs::{Doc, MapRef, OffsetKind, Options, ReadTxn, Transact, WriteTxn};

use super::{json, refusal};

/// Names what is taken back.
const SINCE: &str = "since";

/// The update that makes a document of the state `now` what it was at the state `was`, under a
/// client id that neither knows. `None`: it is that already.
///
/// # Errors
/// `Internal`: a state does not survive its own encoding. `NotText` where the library cannot take
/// everything back.
pub fn revert(was: &[u8], now: &[u8], client: u32) -> Result<Option<Vec<u8>>, Refusal> {
    let mut options = Options::with_client_id(ClientID::new(u64::from(client)));
    options.offset_kind = OffsetKind::Utf16;
    options.cleanup_formatting = false;
    // What was deleted since comes back as a copy of what it was.
    options.skip_gc = true;
    let doc = Doc::with_options(options);
    apply(&doc, was, None)?;
    let due = held(&doc);
    let mut undo = UndoManager::with_options(Undo::<()>::default());
    undo.include_origin(SINCE);
    for name in roots_of(was)?.into_iter().chain(roots_of(now)?) {
        // A root has no type on the wire: as any, it is only a name for what is below it.
        let root: MapRef = doc.transact_mut().get_or_insert_map(name);
        undo.expand_scope(&doc, &root);
    }
    apply(&doc, now, Some(SINCE))?;
    if held(&doc) == due {
        return Ok(None);
    }
    let written = Arc::new(Mutex::new(Vec::new()));
    let writes = Arc::clone(&written);
    let observed = doc.observe_update_v1("revert", move |_, event| {
        writes.lock().push(event.update.clone());
    });
    observed.map_err(|_| refusal(Code::Internal, "the copy is in use"))?;
    undo.undo_blocking();
    let mut written = std::mem::take(&mut *written.lock());
    match written.pop().filter(|_| written.is_empty() && held(&doc) == due) {
        Some(update) => Ok(Some(update)),
        None => Err(refusal(Code::NotText, "this content cannot be made again what it was")),
    }
}

fn apply(doc: &Doc, state: &[u8], origin: Option<&str>) -> Result<(), Refusal> {
    let broken = || refusal(Code::Internal, "the state does not copy");
    let update = yrs::Update::decode_v1(state).map_err(|_| broken())?;
    let mut txn = match origin {
        Some(origin) => doc.transact_mut_with(origin),
        None => doc.transact_mut(),
    };
    txn.apply_update(update).map_err(|_| broken())
}

/// What a document holds, root by root; the empty ones are nothing.
fn held(doc: &Doc) -> Map<String, Value> {
    let mut roots = json::roots(&doc.transact());
    roots.retain(|_, root| root["type"] != "empty");
    roots
}

fn roots_of(state: &[u8]) -> Result<Vec<String>, Refusal> {
    let doc = Doc::new();
    apply(&doc, state, None)?;
    let txn = doc.transact();
    Ok(txn.root_refs().map(|(name, _)| name.to_owned()).collect())
}

#[cfg(test)]
pub(crate) mod tests;
