//! Who wrote each piece of a text.
//!
//! Job: bring together what is kept of a document's authors and the text as it was at an entry.
//! Called by `vault`. Never guesses: what nobody is known to have written has no author.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use sheaf_protocol::ids::DocKey;

use super::{Error, state_at};
use crate::document::authorship::Authorship;
use crate::document::state::Run;
use sheaf_storage::store::{Authored, Store};

/// A piece of a text that one person wrote within a minute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The piece.
    pub text: String,
    /// Who wrote it; none is nobody in particular, or nobody knows.
    pub author: Option<Arc<str>>,
    /// When, in minutes since 1970; none where that is not known.
    pub minute: Option<u64>,
}

/// The text of a document at entry `n`, in pieces; none where it is no text. What the journal has
/// of it must be folded.
///
/// # Errors
/// See [`Error`].
pub fn blame(
    store: &Store,
    doc: DocKey,
    (n, text_root): (u64, &str),
) -> Result<Option<Vec<Piece>>, Error> {
    let mut state = state_at(store, doc, n)?;
    let Some(runs) = state.runs(text_root) else { return Ok(None) };
    let (known, known_n) = store.authored(doc)?;
    let mut authorship = Authorship::new(&store.claims(doc)?, known);
    // What an earlier build thinned is not known.
    let rest = if known_n < n { store.entries_after(doc, known_n, n)? } else { Vec::new() };
    rest.iter().for_each(|entry| authorship.push(entry));
    let authors = Authors::new(authorship.finish());
    let mut pieces: Vec<Piece> = Vec::new();
    for run in &runs {
        authors.split(run, &mut pieces);
    }
    Ok(Some(pieces))
}

/// Spans by client id and first clock.
struct Authors(HashMap<u64, BTreeMap<u32, Authored>>);

impl Authors {
    fn new(spans: Vec<Authored>) -> Self {
        let (mut by_client, mut ends) = (HashMap::new(), HashMap::new());
        for mut span in spans {
            // Whoever brought a clock first has written it.
            let end = ends.entry(span.client).or_insert(0);
            let to = span.clock.saturating_add(span.len);
            let from = span.clock.max(*end);
            if from < to {
                *end = to;
                (span.clock, span.len) = (from, to - from);
                let spans: &mut BTreeMap<u32, Authored> = by_client.entry(span.client).or_default();
                spans.insert(from, span);
            }
        }
        Self(by_client)
    }

    /// The span that holds a clock, and one past its last; a hole ends at the next span.
    fn find(&self, client: u64, clock: u32) -> (Option<&Authored>, u32) {
        let Some(spans) = self.0.get(&client) else { return (None, u32::MAX) };
        let holds = |span: &&Authored| clock < span.clock + span.len;
        match spans.range(..=clock).next_back().map(|(_, span)| span).filter(holds) {
            Some(span) => (Some(span), span.clock + span.len),
            None => (None, spans.range(clock..).next().map_or(u32::MAX, |(from, _)| *from)),
        }
    }

    fn split(&self, run: &Run, pieces: &mut Vec<Piece>) {
        let (mut clock, mut end, mut span) = (run.clock, run.clock, None);
        for c in run.text.chars() {
            if clock >= end {
                (span, end) = self.find(run.client, clock);
            }
            let (author, minute) = match span {
                Some(Authored { author, minute, .. }) => (author.clone(), Some(*minute)),
                None => (None, None),
            };
            match pieces.last_mut().filter(|it| (&it.author, it.minute) == (&author, minute)) {
                Some(last) => last.text.push(c),
                None => pieces.push(Piece { text: c.to_string(), author, minute }),
            }
            clock += c.len_utf16() as u32;
        }
    }
}

#[cfg(test)]
mod tests;
