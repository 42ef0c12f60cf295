//! Taking away versions that are older than anybody wants to read.
//!
//! Job: find them, keep the states of those that stay, and let the store drop what lies between.
//! Called by `vault` once an hour, document by document, on a blocking thread. Never drops a state
//! before the one that replaces it is stored with it.

use std::collections::BTreeSet;

use sheaf_protocol::ids::DocKey;

use super::keep::{Aged, Config};
use super::{Error, state_at};
use sheaf_storage::store::{Body, Store, Version};

/// States that one step rebuilds: they are in memory together.
const STATES_MAX: usize = 8;

/// Versions read at a time.
const PAGE: usize = 1_000;

/// What a device has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holds {
    /// Its id.
    pub device: u64,
    /// It has everything up to this seq.
    pub seq: u64,
}

/// What was thinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Thinned {
    /// Versions that went.
    pub versions: u64,
    /// A part was done: there is more.
    pub has_more: bool,
}

/// Thins one document's versions and past, a step of it. What `held` may be made of stays.
///
/// # Errors
/// See [`Error`]; nothing has changed then.
pub fn thin(
    store: &Store,
    doc: DocKey,
    (config, held): (&Config, &[Holds]),
    now_ms: u64,
) -> Result<Thinned, Error> {
    let Some(oldest) = store.version_after(doc, 0)? else { return Ok(Thinned::default()) };
    if oldest.taken_ms() >= config.all_since(now_ms) {
        return Ok(Thinned::default());
    }
    // What the log still has is younger than the last checkpoint, and waits for the next one.
    let stored: BTreeSet<u64> = store.anchors(doc)?.into_iter().collect();
    let last_n = store.past_range(doc)?.map(|(_, last_n)| last_n);
    // Of a document that stood still since, states are all there is.
    let past_n = last_n.max(stored.last().copied()).unwrap_or_default();
    let versions = all(store, doc)?;
    let labels: BTreeSet<u64> = store.labels(doc)?.into_iter().map(|(seq, _)| seq).collect();
    let bases = bases(&versions, held);
    let aged = |version: &Version| Aged {
        ms: version.taken_ms(),
        is_needed: labels.contains(&version.item.seq) || bases.contains(&version.item.seq),
    };
    let kept = config.kept(&versions.iter().map(aged).collect::<Vec<_>>(), now_ms);
    let (mut forgotten, mut wanted, mut fresh) = (Vec::new(), BTreeSet::new(), Vec::new());
    let (mut through, mut has_more) = (0, false);
    for (version, is_kept) in versions.iter().zip(kept) {
        // The bytes of a blob are none of the document's past.
        let n = if version.item.body == Body::Blob { 0 } else { version.item.n };
        if n > past_n || version.taken_ms() >= config.all_since(now_ms) {
            break;
        }
        if is_kept && fresh.len() == STATES_MAX {
            has_more = true;
            break;
        }
        through = through.max(n);
        if !is_kept {
            forgotten.push(version.item.seq);
        } else if wanted.insert(n) && n > 0 && !stored.contains(&n) {
            fresh.push(n);
        }
    }
    if forgotten.is_empty() {
        return Ok(Thinned { versions: 0, has_more });
    }
    // The rest is read on from there, whether a version is or not.
    if through > 0 && wanted.insert(through) && !stored.contains(&through) {
        fresh.push(through);
    }
    let mut states = Vec::with_capacity(fresh.len());
    for n in fresh {
        states.push((n, state_at(store, doc, n)?.encode()));
    }
    store.thin_past(doc, through, (&wanted, &states), &forgotten)?;
    Ok(Thinned { versions: forgotten.len() as u64, has_more })
}

/// The versions that devices may have, oldest first as they are given: the one that was current
/// where a device stood last, and the last one that it made since.
fn bases(versions: &[Version], held: &[Holds]) -> BTreeSet<u64> {
    let mut bases = BTreeSet::new();
    for Holds { device, seq } in held {
        let (before, after) =
            versions.split_at(versions.partition_point(|version| version.item.seq <= *seq));
        bases.extend(before.last().map(|version| version.item.seq));
        let own = after.iter().rfind(|version| version.item.device == *device);
        bases.extend(own.map(|version| version.item.seq));
    }
    bases
}

/// All versions, oldest first.
fn all(store: &Store, doc: DocKey) -> Result<Vec<Version>, Error> {
    let (mut versions, mut before) = (Vec::new(), None);
    loop {
        let page = store.versions(doc, before, PAGE)?;
        let is_last = page.len() < PAGE;
        before = page.last().map(|version| version.item.seq);
        versions.extend(page);
        if is_last {
            versions.reverse();
            return Ok(versions);
        }
    }
}
