//! The version of the stored format, and the chain of steps from each version to the next. Run by
//! `Store` when it opens.
//! Never opens a format newer than this build knows, and never changes one it cannot finish.

use super::engine::{Batch, Engine};
use sheaf_protocol::stamp::Stamp;

use super::keys::meta::{self, Facts};
use super::keys::{self, Key, vaults};
use super::{Error, Head, Item, Made, Version, value};

/// The format this build writes.
pub const FORMAT: u32 = 4;

/// A step turns a store of its version into one of the next, as one batch.
type Step = fn(&dyn Engine, &mut Batch) -> Result<(), Error>;

/// `STEPS[v - 1]` leads from version `v` to `v + 1`.
const STEPS: [Step; FORMAT as usize - 1] =
    [vaults_get_facts, deleted_names_are_kept, items_are_versions];

/// Format 2 has items, feeds and facts of each vault. Items come when bodies settle at the start
/// after; the facts are made here: a vault is as old as its first document.
fn vaults_get_facts(engine: &dyn Engine, batch: &mut Batch) -> Result<(), Error> {
    for (key, _) in engine.scan(&vaults::prefix(), None, usize::MAX)? {
        let number = value::get_one(engine, &key)?.and_then(|bytes| vaults::decode(&bytes));
        let (Some(number), Some(name)) = (number, vaults::name(&key)) else {
            return Err(Error::corrupt(&key, "vault"));
        };
        let heads = engine.scan(&keys::vault_prefix(number, Key::Heads), None, 1)?;
        let first = heads.first().and_then(|(key, _)| keys::doc_of(key));
        let created = first.map_or(Stamp::ZERO, |doc| doc.doc.0);
        let epoch = created.ms() << 16 | u64::from(created.counter());
        let facts = Facts { name, epoch, created, seq: 0 };
        value::put_one(batch, &meta::facts_key(number), &facts.encode())?;
    }
    Ok(())
}

/// Format 3 knows by name what was deleted. The client ids of the histories are in their logs.
fn deleted_names_are_kept(engine: &dyn Engine, batch: &mut Batch) -> Result<(), Error> {
    for (key, _) in engine.scan(&vaults::prefix(), None, usize::MAX)? {
        let number = value::get_one(engine, &key)?.and_then(|bytes| vaults::decode(&bytes));
        let number = number.ok_or_else(|| Error::corrupt(&key, "vault"))?;
        for (key, _) in engine.scan(&keys::vault_prefix(number, Key::Heads), None, usize::MAX)? {
            // A head that is damaged is found when its document is loaded.
            let Ok(Some(bytes)) = value::get_one(engine, &key) else { continue };
            let head = Head::decode(&bytes).filter(|head| head.is_deleted);
            if let (Some(head), Some(doc)) = (head, keys::doc_of(&key)) {
                super::retired::put(batch, (doc, &head.name), &[])?;
            }
        }
    }
    Ok(())
}

/// Format 4 has versions: what every item is now is its first.
fn items_are_versions(engine: &dyn Engine, batch: &mut Batch) -> Result<(), Error> {
    for (key, _) in engine.scan(&vaults::prefix(), None, usize::MAX)? {
        let number = value::get_one(engine, &key)?.and_then(|bytes| vaults::decode(&bytes));
        let number = number.ok_or_else(|| Error::corrupt(&key, "vault"))?;
        for pair in engine.scan(&keys::vault_prefix(number, Key::Items), None, usize::MAX)? {
            // One that is damaged is made good by the next start, as a version of its own.
            let item = value::body(&pair).ok().and_then(Item::decode);
            if let (Some(item), Some(doc)) = (item, keys::doc_of(&pair.0)) {
                let authors = vec![item.author.clone()];
                let made = Made { authors, ..Made::default() };
                super::versions::put(batch, doc, &Version { prev_seq: 0, item, made })?;
            }
        }
    }
    Ok(())
}

/// Brings a store to `FORMAT`; marks a new one with it. The version it had is returned, `None` for
/// a new one.
///
/// # Errors
/// `Format` when the store is newer than this build; `Corrupt` when it has content and no version.
pub(super) fn run(engine: &dyn Engine) -> Result<Option<u32>, Error> {
    run_steps(engine, &STEPS)
}

fn run_steps(engine: &dyn Engine, steps: &[Step]) -> Result<Option<u32>, Error> {
    let key = meta::key(meta::FORMAT);
    let newest = steps.len() as u32 + 1;
    let Some(stored) = value::get_one(engine, &key)? else {
        if !engine.scan(&[], None, 1)?.is_empty() {
            return Err(Error::corrupt(&key, "a store with content and without a version"));
        }
        write(engine, Batch::default(), newest)?;
        return Ok(None);
    };
    let found = <[u8; 4]>::try_from(stored.as_slice())
        .map(u32::from_le_bytes)
        .map_err(|_| Error::corrupt(&key, "version"))?;
    if found == 0 || found > newest {
        return Err(Error::Format { found, newest });
    }
    for version in found..newest {
        let mut batch = Batch::default();
        steps[version as usize - 1](engine, &mut batch)?;
        write(engine, batch, version + 1)?;
    }
    Ok(Some(found))
}

fn write(engine: &dyn Engine, mut batch: Batch, version: u32) -> Result<(), Error> {
    value::put_one(&mut batch, &meta::key(meta::FORMAT), &version.to_le_bytes())?;
    engine.apply(&batch)?;
    engine.sync()
}

#[cfg(test)]
mod tests;
