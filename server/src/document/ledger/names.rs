//! The names that a vault's live documents have, and which of them a disk takes for one.
//!
//! Kept by the account under one lock. Never holds two documents of one name.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::Bound;
use std::sync::Arc;

use sheaf_protocol::ids::DocId;
use sheaf_protocol::vault::alias_of;

/// The names of a vault's live documents.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) paths: BTreeMap<Arc<str>, DocId>,
    /// The alias and the path it stands for; the same text where they do not differ.
    aliases: BTreeSet<(Arc<str>, Arc<str>)>,
    /// The name of each live document, and the bytes it is charged with.
    pub(super) documents: HashMap<DocId, (Arc<str>, u64)>,
}

impl Names {
    pub(super) fn insert(&mut self, doc: DocId, path: Arc<str>) {
        self.documents.insert(doc, (Arc::clone(&path), 0));
        self.take(doc, path);
    }

    pub(super) fn take(&mut self, doc: DocId, path: Arc<str>) {
        self.aliases.insert(aliased(&path));
        self.paths.insert(path, doc);
    }

    pub(super) fn forget(&mut self, path: &str) {
        if let Some((path, _)) = self.paths.remove_entry(path) {
            self.aliases.remove(&aliased(&path));
        }
    }

    /// Documents whose name begins with `prefix`, by name.
    pub(super) fn under<'a>(
        &'a self,
        prefix: &'a str,
        from: Bound<&str>,
    ) -> impl Iterator<Item = (Arc<str>, DocId)> + use<'a> {
        let paths = self.paths.range::<str, _>((from, Bound::Unbounded));
        let below = paths.take_while(move |(path, _)| path.starts_with(prefix));
        below.map(|(path, doc)| (Arc::clone(path), *doc))
    }

    pub(super) fn conflict(&self, path: &str, except: Option<&str>) -> Option<Arc<str>> {
        let alias = alias_of(path);
        let folders = alias.match_indices('/').map(|(at, _)| &alias[..at]);
        for whole in folders.chain([alias.as_str()]) {
            let taken = self.aliases_from(whole).take_while(|(alias, _)| **alias == *whole);
            if let Some(path) = first(taken, except) {
                return Some(path);
            }
        }
        let below = alias + "/";
        first(self.aliases_from(&below).take_while(|(own, _)| own.starts_with(&below)), except)
    }

    fn aliases_from(&self, alias: &str) -> impl Iterator<Item = &(Arc<str>, Arc<str>)> {
        let from: (Arc<str>, Arc<str>) = (alias.into(), "".into());
        self.aliases.range(from..)
    }
}

fn first<'a>(
    mut taken: impl Iterator<Item = &'a (Arc<str>, Arc<str>)>,
    except: Option<&str>,
) -> Option<Arc<str>> {
    let other = taken.find(|(_, path)| except != Some(&**path));
    other.map(|(_, path)| Arc::clone(path))
}

fn aliased(path: &Arc<str>) -> (Arc<str>, Arc<str>) {
    let alias = alias_of(path);
    let alias = if *alias == **path { Arc::clone(path) } else { alias.into() };
    (alias, Arc::clone(path))
}
