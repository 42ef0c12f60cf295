//! Many operations in one message.
//!
//! Job: carry each out as if it had come alone, and say of each what came of it. Called by `desk`.
//! Never does part of what is to be done whole.

use std::collections::HashSet;

use futures::{StreamExt, stream};
use sheaf_protocol::control::{
    Ack, Done, Failed, Held, Operation, Push, PushMode, PushResult, Re, Request,
};
use sheaf_protocol::error::Code;
use sheaf_protocol::limits::BATCH_ITEMS_MAX;

use super::desk::Desk;
use super::files;
use super::problem::Refused;

/// Operations that are under way at once, where their order does not matter: each waits for the
/// disk, and they wait for the same one.
const UNDER_WAY_MAX: usize = 16;

/// Carries a push out.
pub(super) async fn push(desk: &Desk, asked: Push) -> Result<PushResult, Refused> {
    let count = asked.items.count;
    if count > BATCH_ITEMS_MAX {
        let what = format!("a push has at most {BATCH_ITEMS_MAX} operations");
        let refused = Refused::new(Code::BatchTooLarge, what);
        return Err(refused.with("max", BATCH_ITEMS_MAX).with("count", count));
    }
    let items = asked.items.items;
    let mut result = PushResult {
        re: None,
        success: Vec::new(),
        failures: Vec::new(),
        blocked: Vec::new(),
        version: 0,
    };
    match asked.mode {
        PushMode::Ordered => ordered(desk, items, &mut result).await,
        PushMode::Independent => independent(desk, items, &mut result).await,
        PushMode::Atomic if items.len() <= 1 => ordered(desk, items, &mut result).await,
        PushMode::Atomic => {
            let what = "several files are not changed in one here yet: ordered or independent";
            return Err(Refused::new(Code::Unsupported, what).with("field", "mode"));
        }
    }
    result.version = desk.relay.vaults.get(&desk.vault).map_or(0, |vault| vault.seq);
    Ok(result)
}

async fn ordered(desk: &Desk, items: Vec<Operation>, result: &mut PushResult) {
    for item in items {
        let id = item.id.clone();
        if !result.failures.is_empty() {
            result.blocked.push(Held { id });
            continue;
        }
        note(result, id, operate(desk, item).await);
    }
}

/// Those of one path keep their order.
async fn independent(desk: &Desk, items: Vec<Operation>, result: &mut PushResult) {
    let under_way = if are_apart(&items) { UNDER_WAY_MAX } else { 1 };
    let done = stream::iter(items).map(|item| async move {
        let id = item.id.clone();
        (id, operate(desk, item).await)
    });
    let mut done = done.buffered(under_way);
    while let Some((id, came)) = done.next().await {
        note(result, id, came);
    }
}

/// No two of them are about one path.
fn are_apart(items: &[Operation]) -> bool {
    let mut paths = HashSet::new();
    let mut named = items.iter().flat_map(|item| [Some(&item.path), item.to.as_ref()]).flatten();
    named.all(|path| paths.insert(path))
}

fn note(result: &mut PushResult, id: Re, came: Result<Ack, Refused>) {
    match came {
        Ok(data) => {
            let (item_id, sync_ids) = (data.id, data.version.into_iter().collect());
            result.success.push(Done { id, item_id, sync_ids, data });
        }
        Err(refused) => {
            let error = refused.into_problem();
            result.failures.push(Failed { id, error });
        }
    }
}

async fn operate(desk: &Desk, item: Operation) -> Result<Ack, Refused> {
    match item.into_request() {
        Some(Request::UploadFile(asked)) => files::upload(desk, asked).await,
        Some(Request::DeleteFile(asked)) => files::delete(desk, &asked).await,
        Some(Request::MoveFile(asked)) => files::relocate(desk, &asked).await,
        _ => Err(Refused::field("to", "where it moves to")),
    }
}
