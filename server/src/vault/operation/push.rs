//! Many operations in one message.
//!
//! Job: carry each out as if it had come alone, and say of each what came of it. Called by the
//! vault channel and by HTTP. Never does part of what is to be done whole.

use std::collections::HashSet;

use futures::{StreamExt, stream};
use sheaf_protocol::control::{
    Ack, Delete, Done, Failed, Held, Move, Operation, Push, PushMode, PushResult, Re, Request,
    Upload,
};
use sheaf_protocol::error::Code;
use sheaf_protocol::limits::BATCH_ITEMS_MAX;
use sheaf_protocol::vault::alias_of;

use super::body::{Body, Brought};
use super::{Operator, Refused, deletion, refused, relocation, upcoming, uploaded_to};
use crate::vault;
use crate::vault::tree::{Act, Step, Undone};

/// Operations that are under way at once, where their order does not matter: each waits for the
/// disk, and they wait for the same one.
const UNDER_WAY_MAX: usize = 16;

impl Operator<'_> {
    /// Carries many operations out.
    ///
    /// # Errors
    /// `BatchTooLarge`, and what stops all of them; what stops one is in the result.
    pub async fn push(&self, asked: Push) -> Result<PushResult, Refused> {
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
            PushMode::Ordered => self.ordered(items, &mut result).await,
            PushMode::Independent => self.independent(items, &mut result).await,
            PushMode::Atomic if items.len() <= 1 => self.ordered(items, &mut result).await,
            PushMode::Atomic => self.atomic(items, &mut result).await?,
        }
        result.version = self.vaults.get(self.vault).map_or(0, |vault| vault.seq);
        Ok(result)
    }

    async fn ordered(&self, items: Vec<Operation>, result: &mut PushResult) {
        for item in items {
            let id = item.id.clone();
            if !result.failures.is_empty() {
                result.blocked.push(Held { id });
                continue;
            }
            note(result, id, self.operate(item).await);
        }
    }

    /// Those of one path keep their order.
    async fn independent(&self, items: Vec<Operation>, result: &mut PushResult) {
        let under_way = if are_apart(&items) { UNDER_WAY_MAX } else { 1 };
        let done = stream::iter(items).map(|item| async move {
            let id = item.id.clone();
            (id, self.operate(item).await)
        });
        let mut done = done.buffered(under_way);
        while let Some((id, came)) = done.next().await {
            note(result, id, came);
        }
    }

    /// All of them as one change of the vault. What fails is named, and nothing is done.
    async fn atomic(&self, items: Vec<Operation>, result: &mut PushResult) -> Result<(), Refused> {
        let ids: Vec<Re> = items.iter().map(|item| item.id.clone()).collect();
        let mut operations = Vec::with_capacity(items.len());
        for (at, item) in items.into_iter().enumerate() {
            match self.prepare(item).await {
                Ok(operation) => operations.push(operation),
                Err(refused) => {
                    fail(result, ids, (at, refused));
                    return Ok(());
                }
            }
        }
        let uploads: Vec<_> = operations.iter().map(Prepared::upload).collect();
        let steps = operations.iter().zip(&uploads).enumerate();
        let steps =
            steps.filter_map(|(at, (operation, upload))| Some((at, operation.step(upload)?)));
        let (places, steps): (Vec<usize>, Vec<Step<'_>>) = steps.unzip();
        let done = match self.vaults.change(self.vault, &steps, self.by).await {
            Ok(done) => done,
            Err(Undone { step: Some(at), error }) => {
                fail(result, ids, (places[at], refused(&steps[at], error)));
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
                        operation.log(self, &done);
                        self.changed(step, done)
                    }
                    None => continue,
                },
            };
            note(result, id, came);
        }
        self.told();
        Ok(())
    }

    /// Checks an operation, and puts what is not in it where it can be read.
    async fn prepare(&self, item: Operation) -> Result<Prepared, Refused> {
        let prepared = match item.into_request() {
            Some(Request::UploadFile(mut asked)) => {
                self.check_write(&asked.path).await?;
                let before = self.existing(&asked.path)?.map_or(0, |file| file.seq);
                match self.brought(&mut asked).await? {
                    Brought::Now(body) => Prepared::Upload { asked, body, before },
                    Brought::Before(uploaded) => Prepared::Before(uploaded_to(*uploaded)),
                }
            }
            Some(Request::DeleteFile(asked)) => {
                self.check_step(&deletion(&asked)).await?;
                Prepared::Delete(asked)
            }
            Some(Request::MoveFile(asked)) => {
                self.check_step(&relocation(&asked)).await?;
                Prepared::Move(asked)
            }
            _ => return Err(Refused::field("to", "where it moves to")),
        };
        Ok(prepared)
    }

    async fn operate(&self, item: Operation) -> Result<Ack, Refused> {
        match item.into_request() {
            Some(Request::UploadFile(asked)) => self.upload(asked).await,
            Some(Request::DeleteFile(asked)) => self.delete(&asked).await,
            Some(Request::MoveFile(asked)) => self.relocate(&asked).await,
            _ => Err(Refused::field("to", "where it moves to")),
        }
    }
}

/// No two of them are about one path, as a disk may take it, or about one that is a folder of the
/// other; what is about a folder is about many.
fn are_apart(items: &[Operation]) -> bool {
    if items.iter().any(|item| item.path.ends_with('/')) {
        return false;
    }
    let named = items.iter().flat_map(|item| [Some(&item.path), item.to.as_ref()]).flatten();
    let aliases: Vec<String> = named.map(|path| alias_of(path)).collect();
    let paths: HashSet<&str> = aliases.iter().map(String::as_str).collect();
    let mut folders =
        aliases.iter().flat_map(|path| path.match_indices('/').map(|(at, _)| &path[..at]));
    paths.len() == aliases.len() && !folders.any(|folder| paths.contains(folder))
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

impl Prepared {
    fn upload(&self) -> Upcoming<'_> {
        match self {
            Prepared::Upload { asked, body, .. } => Some(upcoming(asked, body)),
            Prepared::Delete(_) | Prepared::Move(_) | Prepared::Before(_) => None,
        }
    }

    /// The step that it is; none if there is nothing to do.
    fn step<'a>(&'a self, upload: &'a Upcoming<'a>) -> Option<Step<'a>> {
        match self {
            Prepared::Upload { asked: Upload { path, .. }, .. } => {
                upload.as_ref().map(|upload| Step { path, act: Act::Upload(upload) })
            }
            Prepared::Move(asked) => Some(relocation(asked)),
            Prepared::Delete(asked) => Some(deletion(asked)),
            Prepared::Before(_) => None,
        }
    }

    /// Says that a file came in.
    fn log(&self, operator: &Operator<'_>, done: &vault::tree::Done) {
        let Prepared::Upload { before, .. } = self else { return };
        let changed = done.uploaded.as_ref().filter(|it| it.has_changed || it.is_created);
        if let Some(uploaded) = changed {
            let (audience, device) = (operator.vaults.audience(), operator.by.device);
            audience.took_in(operator.vault, (*before, uploaded), device);
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

#[cfg(test)]
mod tests;
