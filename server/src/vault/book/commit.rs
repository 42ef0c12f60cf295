//! Writing changes of items: each takes the next seq, and those that are made together are one
//! record of the journal.
//!
//! Called by `Vaults` with the book's lock. Never writes part of what was handed in together.

use std::collections::HashMap;

use sheaf_protocol::ids::{DocId, DocKey};

use super::{Book, State};
use crate::document::registry::Registry;
use crate::document::submission::Failure;
use sheaf_storage::journal::payload::{Renamed, Retired, Settled};
use sheaf_storage::journal::record::PAYLOAD_BYTES_MAX;
use sheaf_storage::journal::{Appended, Kind, Record, together};
use sheaf_storage::store::{Item, Made};

/// A change of one item that is about to be written.
pub(in crate::vault) struct Entry<'a> {
    pub kind: Kind,
    pub doc: DocId,
    /// From now on; its seq is still to be given.
    pub item: Item,
    /// How it comes about.
    pub made: Made,
    /// The name that gets free, and the document's epoch.
    pub renamed: Option<(&'a str, u64)>,
    /// The client ids of the document's history, where the name is another document's next.
    pub retired: Option<&'a [u64]>,
    pub by: Option<&'a str>,
}

/// A change that has its seq.
struct Numbered<'a> {
    kind: Kind,
    doc: DocId,
    item: Item,
    payload: Vec<u8>,
    /// The payload of the record that follows it.
    retired: Option<Vec<u8>>,
    by: Option<&'a str>,
}

impl Book {
    /// Gives the next seq to a change and writes it. It is shown by `publish`.
    pub(in crate::vault) fn commit(
        &self,
        state: &mut State,
        registry: &Registry,
        entry: Entry<'_>,
    ) -> Result<(u64, Appended), Failure> {
        let numbered = self.number(state, vec![entry])?;
        let appended = self.append(state, registry, numbered)?;
        Ok((state.last, appended))
    }

    /// Gives the next seqs to changes, one after the other, and writes them as one record with what
    /// documents' `logs` get, which stands behind the deletions and moves. They are shown by
    /// `publish`, all at once. `None`: they are more than a record holds, and nothing is written.
    pub(in crate::vault) fn commit_together(
        &self,
        state: &mut State,
        registry: &Registry,
        entries: Vec<Entry<'_>>,
        logs: &[Record<'_>],
    ) -> Result<Option<Appended>, Failure> {
        let mut numbered = self.number(state, entries)?;
        if let ([_], []) = (&numbered[..], logs) {
            return self.append(state, registry, numbered).map(Some);
        }
        let joined = |numbered: &[Numbered<'_>]| {
            let mut payload = Vec::new();
            let records = records(numbered, self.nil(), registry);
            // Names get free before new documents take them.
            let settled = records.iter().position(|record| record.kind == Kind::Settled);
            let (renamed, settled) = records.split_at(settled.unwrap_or(records.len()));
            let all = renamed.iter().chain(logs).chain(settled);
            all.for_each(|record| together::push(&mut payload, record));
            payload
        };
        let mut payload = joined(&numbered);
        if payload.len() > PAYLOAD_BYTES_MAX {
            // The client ids of histories are found in their logs, too.
            numbered.iter_mut().for_each(|one| one.retired = None);
            payload = joined(&numbered);
        }
        if payload.len() > PAYLOAD_BYTES_MAX {
            return Ok(None);
        }
        let (doc, stamp) = (self.nil(), registry.stamp());
        let author = numbered.first().and_then(|one| one.by);
        let author = author.or_else(|| logs.iter().find_map(|record| record.author));
        let record = Record { doc, n: 0, kind: Kind::Together, stamp, author, payload: &payload };
        let appended = self.write(state, registry, &[record])?;
        self.stage(state, registry, (numbered, appended));
        Ok(Some(appended))
    }

    fn append(
        &self,
        state: &mut State,
        registry: &Registry,
        numbered: Vec<Numbered<'_>>,
    ) -> Result<Appended, Failure> {
        let records = records(&numbered, self.nil(), registry);
        let appended = self.write(state, registry, &records)?;
        self.stage(state, registry, (numbered, appended));
        Ok(appended)
    }

    /// What is written is shown when it is durable, though whoever wrote it may not wait for that.
    fn stage(
        &self,
        state: &mut State,
        registry: &Registry,
        (numbered, appended): (Vec<Numbered<'_>>, Appended),
    ) {
        for Numbered { doc, item, .. } in numbered {
            state.last = item.seq;
            state.wrong.remove(&doc);
            state.signed.remove(&doc);
            state.stray_rows.remove(&doc);
            state.ahead.insert(doc, item.clone());
            state.staged.push_back((appended.end, doc, item));
        }
        registry.ledger().committed(self.account.number());
    }

    fn number<'a>(
        &self,
        state: &State,
        entries: Vec<Entry<'a>>,
    ) -> Result<Vec<Numbered<'a>>, Failure> {
        if state.is_gone {
            return Err(Failure::VaultDeleted);
        }
        let mut rows = HashMap::new();
        let numbered = entries.into_iter().zip(state.last + 1..).map(|(entry, seq)| {
            let Entry { kind, doc, mut item, made, renamed, retired, by } = entry;
            let before = rows.insert(doc, seq);
            let before = before.or_else(|| state.current(doc).map(|item| item.seq));
            let prev_seq = before.or_else(|| state.stray_rows.get(&doc).copied()).unwrap_or(0);
            item.seq = seq;
            let vault = self.account.name().clone();
            let settled = Settled { vault, prev_seq, item: item.clone(), made };
            let mut payload = Vec::new();
            match renamed {
                None => settled.encode(&mut payload),
                Some((from, epoch)) => {
                    Renamed { from: from.to_owned(), epoch, settled }.encode(&mut payload);
                }
            }
            let retired = renamed.zip(retired).map(|((name, _), clients)| {
                let mut payload = Vec::new();
                Retired { name: name.to_owned(), clients: clients.to_vec() }.encode(&mut payload);
                payload
            });
            Numbered { kind, doc, item, payload, retired, by }
        });
        Ok(numbered.collect())
    }

    /// Writes records, behind the vault's facts where the journal does not have those.
    fn write(
        &self,
        state: &mut State,
        registry: &Registry,
        records: &[Record<'_>],
    ) -> Result<Appended, Failure> {
        let facts = (!state.is_recorded).then(|| self.facts(state.last));
        let created = facts.as_ref().map(|payload| {
            let (doc, kind, stamp) = (self.nil(), Kind::VaultCreated, self.created);
            Record { doc, n: 0, kind, stamp, author: None, payload }
        });
        let records: Vec<_> = created.into_iter().chain(records.iter().copied()).collect();
        let appended = append(registry, &records)?;
        state.is_recorded = true;
        Ok(appended)
    }
}

/// The records of changes, in order.
fn records<'a>(numbered: &'a [Numbered<'a>], nil: DocKey, registry: &Registry) -> Vec<Record<'a>> {
    let mut records = Vec::with_capacity(numbered.len());
    for one in numbered {
        let (doc, stamp) = (DocKey { doc: one.doc, ..nil }, registry.stamp());
        let (n, kind, author) = (one.item.n, one.kind, one.by);
        let record = Record { doc, n, kind, stamp, author, payload: &one.payload };
        records.push(record);
        let retired = one.retired.as_ref();
        records.extend(retired.map(|payload| Record { kind: Kind::Retired, payload, ..record }));
    }
    records
}

/// Writes records of a vault.
pub(in crate::vault) fn append(
    registry: &Registry,
    records: &[Record<'_>],
) -> Result<Appended, Failure> {
    registry.shared().journal.append(records).map_err(|error| {
        tracing::error!(%error, "a change of a vault was not written");
        Failure::ReadOnly
    })
}
