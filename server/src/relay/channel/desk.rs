//! What a request needs, and who answers it.
//!
//! Job: carry one request out and hand back what is to be said, in one future. Made by the channel
//! for each request. Never touches the socket, and never does anything that the caller may not.

use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use sheaf_protocol::control::{
    Ack, Acknowledge, Device, FileId, Pong, Problem, Re, Reply, Request,
};
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::VaultName;

use super::documents::{self, Joined};
use super::listing;
use super::voice::Voice;
use crate::auth::{Caller, Grant};
use crate::document::author::Author;
use crate::relay::outbound::Outbound;
use crate::relay::session::Relay;
use crate::relay::session::socket::INLINE_BYTES_MAX;
use crate::vault::Cursor;
use crate::vault::audience::From;
use crate::vault::operation::{Operator, Permit, Refused};
use sheaf_ground::task;

/// What a request needs. Cheap to clone.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) relay: Arc<Relay>,
    pub(super) vault: VaultName,
    pub(super) epoch: u64,
    pub(super) caller: Caller,
    /// In the vault as a whole, when the request came.
    pub(super) grant: Grant,
    pub(super) device: Option<Device>,
    /// Where the last pages ended, of listings that go on.
    pub(super) paged: Arc<Mutex<Paged>>,
    pub(super) voice: Voice,
}

/// Where the last page ended of each kind of listing.
#[derive(Default)]
pub(super) struct Paged {
    pub(super) files: Option<Cursor>,
    pub(super) changes: Option<Cursor>,
}

/// What came of a request.
pub(super) struct Answer {
    /// What is said, as whole frames.
    pub(super) frames: Vec<u8>,
    /// What else happens.
    pub(super) then: Then,
}

/// What happens besides the answer.
pub(super) enum Then {
    /// Nothing.
    Nothing,
    /// Nothing is said until everything before this journal position is durable.
    Waits(u64),
    /// The client is a reader of a document now.
    Joins(FileId, Joined),
    /// It is not any more.
    Leaves(FileId),
    /// Files of so many bytes were listed, those on the last page among them or not.
    Listed { bytes: u64, is_last: bool },
}

pub(super) type Said = Result<(Reply, Then), Refused>;

impl Desk {
    /// Carries a request out.
    pub(super) async fn answer(self, request: Request, out: Arc<Outbound>) -> Answer {
        let re = request.re().cloned();
        let voice = self.voice;
        let said = self.say(request, out).await;
        let (reply, then) = match said {
            Ok((reply, then)) => (with_re(reply, re), then),
            Err(refused) => {
                self.relay.metrics.relay.refuse(refused.code);
                let problem = Problem { re, ..refused.into_problem() };
                (Reply::Error(problem), Then::Nothing)
            }
        };
        let frames = match is_large(&reply) {
            true => task::block(|| voice.frame(&reply)),
            false => voice.frame(&reply),
        };
        Answer { frames, then }
    }

    async fn say(&self, request: Request, out: Arc<Outbound>) -> Said {
        let plain = |reply| (reply, Then::Nothing);
        match request {
            Request::Auth(_) => {
                Err(Refused::field("type", "who this is has been said; connect again for another"))
            }
            Request::ListFiles(asked) => listing::files(self, &asked),
            Request::GetChanges(asked) => listing::changes(self, &asked).map(plain),
            Request::UploadFile(asked) => {
                self.operator().upload(asked).await.map(Reply::Ack).map(plain)
            }
            Request::DownloadFile(asked) => {
                let content = listing::download(self, &asked).await?;
                Ok(plain(Reply::FileContent(content)))
            }
            Request::DeleteFile(asked) => {
                self.operator().delete(&asked).await.map(Reply::Ack).map(plain)
            }
            Request::MoveFile(asked) => {
                self.operator().relocate(&asked).await.map(Reply::Ack).map(plain)
            }
            Request::Push(asked) => {
                self.operator().push(asked).await.map(Reply::PushResult).map(plain)
            }
            Request::Ack(asked) => self.acknowledge(&asked).map(plain),
            Request::DocSync(asked) => documents::join(self, asked, out).await,
            Request::DocUpdate(asked) => documents::edit(self, asked).await,
            Request::DocClose(asked) => {
                let reply = Reply::Ack(Ack { id: Some(asked.id), ..Ack::default() });
                Ok((reply, Then::Leaves(asked.id)))
            }
            Request::Ping(_) => {
                let server_time = self.relay.clock.now_ms();
                Ok(plain(Reply::Pong(Pong { re: None, server_time })))
            }
        }
    }

    /// The client's device holds everything up to a version; without a device nobody does.
    fn acknowledge(&self, asked: &Acknowledge) -> Result<Reply, Refused> {
        let version = match (asked.version, asked.stamp) {
            (Some(version), _) => version,
            (None, Some(stamp)) => {
                let seq = self.relay.vaults.seq_of(&self.vault, stamp.0)?;
                let none = || Refused::new(Code::VersionNotFound, "no change has this stamp");
                seq.ok_or_else(none)?
            }
            (None, None) => return Err(Refused::field("version", "a version, or a stamp")),
        };
        let seq = self.relay.vaults.get(&self.vault).map_or(0, |vault| vault.seq);
        if version > seq {
            let refused = Refused::new(Code::CursorExpired, "this vault has no such version");
            return Err(refused.with("version", seq));
        }
        self.holds(Cursor::at(self.epoch, version))?;
        Ok(Reply::Ack(Ack { version: Some(version), ..Ack::default() }))
    }

    /// Takes in that the client's device, if it said which, holds everything up to a place.
    pub(super) fn holds(&self, cursor: Cursor) -> Result<(), Refused> {
        let Some(Device(device)) = self.device else { return Ok(()) };
        let by = &self.grant.principal;
        self.relay.vaults.acknowledge(&self.vault, device, by, cursor)?;
        Ok(())
    }

    /// On whose behalf a write is made.
    pub(super) fn author(&self) -> Author<'_> {
        let (principal, may_relay) = (&self.grant.principal, self.grant.may_relay());
        let device = self.device.map_or(0, |device| device.0);
        Author { principal, may_relay, device, stamped: None }
    }

    /// Who carries out what the client wants done to files.
    pub(super) fn operator(&self) -> Operator<'_> {
        Operator {
            vaults: &self.relay.vaults,
            vault: &self.vault,
            by: self.author(),
            from: From::Client,
            text_bytes_max: self.relay.announced.document_bytes,
            permit: self,
        }
    }
}

impl Permit for Desk {
    fn may_write<'a>(&'a self, path: &'a str) -> BoxFuture<'a, Result<bool, Refusal>> {
        self.caller.may_write(&self.vault, path).boxed()
    }
}

/// Whether writing it takes so long that it is not done on the reactor's own threads.
fn is_large(reply: &Reply) -> bool {
    match reply {
        Reply::FileContent(content) => content.size > INLINE_BYTES_MAX as u64,
        Reply::DocUpdate(edit) => edit.update.0.len() > INLINE_BYTES_MAX,
        _ => false,
    }
}

/// Gives an answer the name of its request.
fn with_re(mut reply: Reply, name: Option<Re>) -> Reply {
    match &mut reply {
        Reply::AuthOk(it) => it.re = name,
        Reply::FileList(it) => it.re = name,
        Reply::FileContent(it) => it.re = name,
        Reply::Changes(it) => it.re = name,
        Reply::Ack(it) => it.re = name,
        Reply::PushResult(it) => it.re = name,
        Reply::DocUpdate(it) => it.re = name,
        Reply::Error(it) => it.re = name,
        Reply::Pong(it) => it.re = name,
        Reply::SyncComplete(_)
        | Reply::FileUpdated(_)
        | Reply::FileDeleted(_)
        | Reply::Change(_)
        | Reply::Touched(_)
        | Reply::Device(_) => {}
    }
    reply
}
