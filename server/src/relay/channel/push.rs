//! Many operations in one message.
//!
//! Job: carry each out as if it had come alone, and say of each what came of it. Called by `desk`.
//! Never does part of what is to be done whole.

use std::collections::HashSet;

use futures::{StreamExt, stream};
use sheaf_protocol::control::{
    Ack, Done, Failed, Held, Operation, OperationKind, Push, PushMode, PushResult, Re, Request,
};
use sheaf_protocol::error::Code;
use sheaf_protocol::limits::BATCH_ITEMS_MAX;

use super::desk::Desk;
use super::files;
use super::problem::Refused;
use crate::vault::tree::{Act, Step, Undone};

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
        PushMode::Atomic => atomic(desk, &items, &mut result).await?,
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

/// No two of them are about one path; what is about a folder is about many.
fn are_apart(items: &[Operation]) -> bool {
    if items.iter().any(|item| item.path.ends_with('/')) {
        return false;
    }
    let mut paths = HashSet::new();
    let mut named = items.iter().flat_map(|item| [Some(&item.path), item.to.as_ref()]).flatten();
    named.all(|path| paths.insert(path))
}

/// All of them as one change of the vault. What fails is named, and nothing is done.
async fn atomic(desk: &Desk, items: &[Operation], result: &mut PushResult) -> Result<(), Refused> {
    let mut steps = Vec::with_capacity(items.len());
    for (at, item) in items.iter().enumerate() {
        let checked = match step(item) {
            Ok(step) => files::check_step(desk, &step).await.map(|()| step),
            Err(refused) => Err(refused),
        };
        match checked {
            Ok(step) => steps.push(step),
            Err(refused) => {
                fail(result, items, (at, refused));
                return Ok(());
            }
        }
    }
    let done = desk.relay.vaults.change(&desk.vault, &steps, desk.author()).await;
    match done {
        Ok(done) => {
            files::told(desk);
            for ((item, step), done) in items.iter().zip(&steps).zip(done) {
                note(result, item.id.clone(), files::changed(desk, step, done));
            }
            Ok(())
        }
        Err(Undone { step: Some(at), error }) => {
            fail(result, items, (at, files::refused(&steps[at], error)));
            Ok(())
        }
        Err(Undone { step: None, error }) => Err(error.into()),
    }
}

/// The step that an operation is.
fn step(item: &Operation) -> Result<Step<'_>, Refused> {
    let act = match (item.r#type, &item.to) {
        (OperationKind::DeleteFile, _) => Act::Delete { base: item.base_version },
        (OperationKind::MoveFile, Some(to)) => Act::Move { to },
        (OperationKind::MoveFile, None) => return Err(Refused::field("to", "where it moves to")),
        (OperationKind::UploadFile, _) => {
            let what = "an atomic push deletes and moves: uploads go ordered or independent";
            return Err(Refused::new(Code::Unsupported, what).with("field", "type"));
        }
    };
    Ok(Step { path: &item.path, act })
}

/// One of them cannot be done, so none is.
fn fail(result: &mut PushResult, items: &[Operation], (at, refused): (usize, Refused)) {
    let id = |item: &Operation| item.id.clone();
    let others = items.iter().enumerate().filter(|(other, _)| *other != at);
    result.blocked = others.map(|(_, item)| Held { id: id(item) }).collect();
    result.failures = vec![Failed { id: id(&items[at]), error: refused.into_problem() }];
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
