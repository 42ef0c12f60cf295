//! Documents built from what came over a socket, to compare: after the measured part, by a CRDT.

use std::time::Duration;

use tokio::time::timeout;
use yrs::updates::decoder::Decode;
use yrs::{Doc, GetString, ReadTxn, Transact, Update};

use super::dialect::Heard;
use crate::edits::token::ROOT;
use crate::target::Target;

/// Servers that answer first and load afterwards are given so long to send the rest.
const LATER: Duration = Duration::from_millis(1_500);

/// Updates in one transaction. Its end joins what it inserted, one piece to the other from behind:
/// with all updates in one, that copies the text as often as there are updates.
pub(crate) const UPDATES_AT_ONCE: usize = 64;

/// Builds a document from updates and reads its text; nothing if one does not fit.
pub(crate) fn rebuild<T: AsRef<[u8]>>(updates: impl IntoIterator<Item = T>) -> Option<String> {
    let doc = Doc::new();
    let text = doc.get_or_insert_text(ROOT);
    let mut updates = updates.into_iter().peekable();
    while updates.peek().is_some() {
        let mut txn = doc.transact_mut();
        for update in updates.by_ref().take(UPDATES_AT_ONCE) {
            txn.apply_update(Update::decode_v1(update.as_ref()).ok()?).ok()?;
        }
    }
    let txn = doc.transact();
    // What waits for something that never came is not in the text.
    txn.store().pending_update().is_none().then(|| text.get_string(&txn))
}

/// What a newcomer is shown.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    /// In the first answer.
    pub(crate) first: Option<String>,
    /// After a while, if the first answer was not yet what is wanted.
    pub(crate) later: Option<String>,
}

/// Joins and reads; the first answer alone if that `is_enough`.
pub(crate) async fn join(
    target: &Target,
    room: &str,
    is_enough: impl Fn(&str) -> bool,
) -> anyhow::Result<Shown> {
    let mut bot = super::connect(target, room).await?;
    let mut updates = vec![bot.synced().await?];
    let first = rebuild(&updates);
    if first.as_deref().is_some_and(is_enough) {
        return Ok(Shown { later: first.clone(), first });
    }
    let listening = async {
        loop {
            let listened = bot.listen(|heard| {
                if let Heard::Step2(update) | Heard::Update(update) = heard {
                    updates.push(update.to_vec());
                }
            });
            if let Err(reason) = listened.await {
                break reason;
            }
        }
    };
    if let Ok(reason) = timeout(LATER, listening).await {
        return Err(reason);
    }
    Ok(Shown { first, later: rebuild(&updates) })
}
