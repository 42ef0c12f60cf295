//! A client that has a document which had this name before, and was deleted.
//!
//! Job: send it nothing of the present one, take what it has, have that kept, and tell it. Called
//! by `talk`. Never merges anything of it here, and never says that something is kept before that
//! is durable.

use std::future::ready;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use sheaf_protocol::error::Code;
use sheaf_protocol::frame::Message;
use sheaf_protocol::ids::DocId;
use sheaf_protocol::scan;

use super::moved::Leading;
use super::{Talk, said};
use crate::document::author::Author;
use crate::metrics::MessageKind;
use crate::relay::dialect::{Acks, Dialect};
use crate::relay::session::Ending;
use crate::relay::session::socket::Socket;
use crate::relay::session::timing::{HELD, Timer, is_over};
use crate::vault::Kept;

const BESIDE: &str = "the document was deleted and made again; your copy is kept beside it";
const BESIDE_IN_PART: &str =
    "the document was deleted and made again; what of your copy could be taken is kept beside it";
const NOTHING: &str = "the document was deleted; nothing of your copy was kept that it had not";
const READ_ONLY: &str = "the document was deleted; your copy is of one that is no more";
const SILENT: &str = "the document was deleted; what you have of it did not come";
const BACK: &str = "the document was deleted and is back with your edits";
const FAILED: &str = "the document was deleted; your copy could not be kept";

/// How long a socket of one document stays when its client is told: old ones come again at once, as
/// often as they are closed.
const LINGERING: Duration = Duration::from_secs(2);

/// How far it has come.
pub(super) enum Past {
    /// It lives elsewhere, and the client is led there.
    Leading(Leading),
    /// What the client has of this document is asked for.
    Asked(DocId, Timer),
    /// It is being kept, or there is nothing to keep.
    Keeping(BoxFuture<'static, (Ending, Option<String>)>),
    /// The client was told where; the end comes now, or a little later.
    Told(Ending, Option<Timer>),
}

impl Past {
    /// Nothing more is taken in.
    pub(super) fn is_held(&self) -> bool {
        !matches!(self, Past::Asked(..))
    }
}

impl<D: Dialect> Talk<D> {
    /// The client has a document that had the name before. From now on it hears nothing of this
    /// one, whose content would double its text; if it may write, what it has is asked for.
    pub(super) fn meet_past(&mut self, socket: &mut Socket, doc: DocId) {
        self.document.leave(self.reader);
        self.question = None;
        self.acks.clear();
        if !self.grant.can_write() {
            return self.end_past(socket, READ_ONLY);
        }
        // What was asked at the beginning may have been answered long ago.
        self.ask(socket);
        self.past = Some(Box::new(Past::Asked(doc, Timer::new(&socket.relay.clock, HELD))));
        socket.wake();
    }

    fn end_past(&mut self, socket: &mut Socket, why: &'static str) {
        let keeping = ready((Ending::Told(Code::EpochChanged, why), None)).boxed();
        self.past = Some(Box::new(Past::Keeping(keeping)));
        socket.wake();
    }

    /// Of such a client only the answer counts: all that it has is in it.
    pub(super) fn hear_past(
        &mut self,
        socket: &mut Socket,
        message: Message<'_>,
    ) -> Result<(), Ending> {
        if let (Message::Step2(bytes), Some(Past::Asked(doc, _))) = (message, self.past.as_deref())
        {
            let doc = *doc;
            scan::update(bytes)?;
            match self.grant.can_write() {
                true => self.keep_past(socket, doc, bytes),
                // It might when it was asked.
                false => self.end_past(socket, READ_ONLY),
            }
        }
        Ok(())
    }

    /// Has an answer kept where it belongs.
    pub(super) fn keep_past(&mut self, socket: &mut Socket, doc: DocId, update: &[u8]) {
        let (vaults, name) = (socket.relay.vaults.clone(), self.document.name().clone());
        let (grant, update) = (self.grant.clone(), update.to_vec());
        let keeping = async move {
            let (principal, may_relay) = (&grant.principal, grant.may_relay());
            let by = Author { principal, may_relay, device: 0, stamped: None };
            let place = (&name.vault, &*name.document);
            match vaults.keep_past(place, doc, &update, by).await {
                Ok(Kept::Back) => (Ending::Told(Code::Restart, BACK), None),
                Ok(Kept::At { path, is_whole }) => {
                    let what = if is_whole { BESIDE } else { BESIDE_IN_PART };
                    (Ending::Told(Code::EpochChanged, what), Some(format!("{what}: {path}")))
                }
                Ok(Kept::Nothing) => (Ending::Told(Code::EpochChanged, NOTHING), None),
                Err(error) => {
                    tracing::warn!(%doc, %error, "a copy of a deleted document was not kept");
                    // Only what may go better the next time is worth the whole socket.
                    let code = error.code();
                    let code = if code.is_retryable() { code } else { Code::EpochChanged };
                    (Ending::Told(code, FAILED), None)
                }
            }
        };
        self.past = Some(Box::new(Past::Keeping(keeping.boxed())));
        socket.wake();
    }

    pub(super) fn poll_past(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Result<(), Ending> {
        let Some(past) = &mut self.past else { return Ok(()) };
        match &mut **past {
            Past::Leading(_) => Ok(()),
            Past::Told(ending, later) => {
                let ending = *ending;
                if later.is_none() || is_over(later, cx) { Err(ending) } else { Ok(()) }
            }
            Past::Asked(_, deadline) => match deadline.poll(cx) {
                Poll::Ready(()) => Err(Ending::Told(Code::EpochChanged, SILENT)),
                Poll::Pending => Ok(()),
            },
            Past::Keeping(keeping) => match keeping.as_mut().poll(cx) {
                Poll::Pending => Ok(()),
                Poll::Ready((ending, told)) => {
                    if let Some(told) = told {
                        // It leaves with this turn, before the close.
                        said(socket, MessageKind::Auth);
                        self.dialect.write_notice(&told, &mut socket.replies);
                    }
                    let is_told = matches!(ending, Ending::Told(Code::EpochChanged, _));
                    let is_alone = D::ACKS != Acks::OfUpdates;
                    let later =
                        (is_told && is_alone).then(|| Timer::new(&socket.relay.clock, LINGERING));
                    self.past = Some(Box::new(Past::Told(ending, later)));
                    socket.wake();
                    Ok(())
                }
            },
        }
    }
}
