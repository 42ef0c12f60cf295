//! Many operations in one message.
//!
//! Job: carry each out as if it had come alone, and say of each what came of it. Called by `desk`.
//! Never does part of what is to be done whole.

use std::collections::HashSet;

use futures::{StreamExt, stream};
use sheaf_protocol::control::{
    Ack, Delete, Done, Failed, Held, Move, Operation, Push, PushMode, PushResult, Re, Request,
    Upload,
};
use sheaf_protocol::error::Code;
use sheaf_protocol::limits::BATCH_ITEMS_MAX;

use super::desk::Desk;
use super::files::{self, Body, Brought};
use super::problem::Refused;
use crate::vault;
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
        PushMode::Atomic => atomic(desk, items, &mut result).await?,
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
async fn atomic(
    desk: &Desk,
    items: Vec<Operation>,
    result: &mut PushResult,
) -> Result<(), Refused> {
    let ids: Vec<Re> = items.iter().map(|item| item.id.clone()).collect();
    let mut operations = Vec::with_capacity(items.len());
    for (at, item) in items.into_iter().enumerate() {
        match prepare(desk, item).await {
            Ok(operation) => operations.push(operation),
            Err(refused) => {
                fail(result, ids, (at, refused));
                return Ok(());
            }
        }
    }
    let uploads: Vec<_> = operations.iter().map(Prepared::upload).collect();
    let steps = operations.iter().zip(&uploads).enumerate();
    let steps = steps.filter_map(|(at, (operation, upload))| Some((at, operation.step(upload)?)));
    let (places, steps): (Vec<usize>, Vec<Step<'_>>) = steps.unzip();
    let done = match desk.relay.vaults.change(&desk.vault, &steps, desk.author()).await {
        Ok(done) => done,
        Err(Undone { step: Some(at), error }) => {
            fail(result, ids, (places[at], files::refused(&steps[at], error)));
            return Ok(());
        }
        Err(Undone { step: None, error }) => return Err(error.into()),
    };
    let mut done = steps.iter().zip(done);
    for (id, operation) in ids.into_iter().zip(&operations) {
        let came = match operation {
            Prepared::Before(ack) => Ok(ack.clone()),
            _ => match done.next() {
                Some((step, done)) => {
                    operation.log(desk, &done);
                    files::changed(desk, step, done)
                }
                None => continue,
            },
        };
        note(result, id, came);
    }
    files::told(desk);
    Ok(())
}

/// An operation that is to be done with others.
enum Prepared {
    Delete(Delete),
    Move(Move),
    Upload {
        asked: Upload,
        body: Body,
        /// The version that the file has now.
        before: u64,
    },
    /// It came before.
    Before(Ack),
}

/// What is uploaded, where it is an upload: steps borrow it.
type Upcoming<'a> = Option<vault::upload::Upload<'a>>;

/// Checks an operation, and puts what is not in it where it can be read.
async fn prepare(desk: &Desk, item: Operation) -> Result<Prepared, Refused> {
    let prepared = match item.into_request() {
        Some(Request::UploadFile(mut asked)) => {
            desk.check_write(&asked.path).await?;
            let before = files::existing(desk, &asked.path)?.map_or(0, |file| file.seq);
            match files::brought(desk, &mut asked).await? {
                Brought::Now(body) => Prepared::Upload { asked, body, before },
                Brought::Before(uploaded) => Prepared::Before(files::uploaded_to(*uploaded)),
            }
        }
        Some(Request::DeleteFile(asked)) => {
            desk.check_write(&asked.path).await?;
            Prepared::Delete(asked)
        }
        Some(Request::MoveFile(asked)) => {
            desk.check_write(&asked.path).await?;
            desk.check_write(&asked.to).await?;
            Prepared::Move(asked)
        }
        _ => return Err(Refused::field("to", "where it moves to")),
    };
    Ok(prepared)
}

impl Prepared {
    fn upload(&self) -> Upcoming<'_> {
        match self {
            Prepared::Upload { asked, body, .. } => Some(files::upcoming(asked, body)),
            Prepared::Delete(_) | Prepared::Move(_) | Prepared::Before(_) => None,
        }
    }

    /// The step that it is; none if there is nothing to do.
    fn step<'a>(&'a self, upload: &'a Upcoming<'a>) -> Option<Step<'a>> {
        match self {
            Prepared::Upload { asked: Upload { path, .. }, .. } => {
                upload.as_ref().map(|upload| Step { path, act: Act::Upload(upload) })
            }
            Prepared::Move(asked) => Some(files::relocation(asked)),
            Prepared::Delete(asked) => Some(files::deletion(asked)),
            Prepared::Before(_) => None,
        }
    }

    /// Says that a file came in.
    fn log(&self, desk: &Desk, done: &vault::tree::Done) {
        let Prepared::Upload { before, .. } = self else { return };
        let changed = done.uploaded.as_ref().filter(|it| it.has_changed || it.is_created);
        if let Some(uploaded) = changed {
            let (place, device) = ((&desk.vault, &*uploaded.path), desk.author().device);
            let versions = (*before, uploaded.version);
            desk.relay.vaults.audience().took_in(place, versions, device);
        }
    }
}

/// One of them cannot be done, so none is.
fn fail(result: &mut PushResult, ids: Vec<Re>, (failed, refused): (usize, Refused)) {
    let mut refused = Some(refused);
    for (at, id) in ids.into_iter().enumerate() {
        match refused.take_if(|_| at == failed) {
            Some(refused) => result.failures.push(Failed { id, error: refused.into_problem() }),
            None => result.blocked.push(Held { id }),
        }
    }
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
