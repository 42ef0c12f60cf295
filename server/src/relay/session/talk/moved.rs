//! A client that has a document which had this name before, and was moved.
//!
//! Job: lead it into that document, where it is now, and go on there with what it has said. Called
//! by `talk`. Never leads anybody to where it may not read, and never into what has the old name.

use std::sync::Arc;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::frame::Message;
use sheaf_protocol::ids::DocId;

use super::Talk;
use super::past::Past;
use crate::auth::{Leash, Released};
use crate::document::fanout::Outlet;
use crate::document::handle::Name;
use crate::relay::dialect::Dialect;
use crate::relay::session::Ending;
use crate::relay::session::opening::{Joined, Relay};
use crate::relay::session::socket::{INLINE_BYTES_MAX, Socket};
use sheaf_ground::task;

const ELSEWHERE: &str = "the document was moved to where you may not read; nothing was kept";
const RESTLESS: &str = "the document was moved and is not found; come again";

/// Attempts to find a document that is moved again and again.
const ATTEMPTS: usize = 8;

/// What a client was known by.
pub(super) enum Brought {
    /// A state vector, which is to be answered.
    Question(Box<[u8]>),
    /// An answer, which is to be taken in.
    Copy(Vec<u8>),
}

/// A client on its way to where its document is.
pub(super) struct Leading {
    to: BoxFuture<'static, Result<(Joined, Leash), Ending>>,
    outlet: Arc<dyn Outlet>,
    brought: Brought,
    /// What it said after that in the same frame.
    pub(super) rest: Vec<u8>,
}

impl<D: Dialect> Talk<D> {
    /// The client has a document that had the name before. Where it lives under another it is led
    /// there, once: a copy of two documents would be sent to and fro.
    pub(super) fn meet(&mut self, socket: &mut Socket, doc: DocId, brought: Brought) {
        let (relay, name) = (Arc::clone(&socket.relay), self.document.name().clone());
        let is_moved = !self.is_led && relay.vaults.moved_to(&name, doc).is_some();
        let outlet = self.document.outlet(self.reader).filter(|_| is_moved);
        let Some(outlet) = outlet else {
            self.meet_past(socket, doc);
            if let Brought::Copy(update) = brought {
                self.keep_past(socket, doc, &update);
            }
            return;
        };
        self.is_led = true;
        self.document.leave(self.reader);
        self.question = None;
        let to = find(relay, (name, doc), self.leash.release(), Arc::clone(&outlet)).boxed();
        let leading = Leading { to, outlet, brought, rest: Vec::new() };
        self.past = Some(Box::new(Past::Leading(leading)));
        socket.wake();
    }

    /// True: it is there, and goes on.
    pub(super) fn poll_leading(
        &mut self,
        socket: &mut Socket,
        cx: &mut Context<'_>,
    ) -> Result<bool, Ending> {
        let Some(Past::Leading(leading)) = self.past.as_deref_mut() else { return Ok(false) };
        let Poll::Ready(found) = leading.to.as_mut().poll(cx) else { return Ok(false) };
        let past = self.past.take().map(|past| *past);
        match (found, past) {
            (Ok((joined, leash)), Some(Past::Leading(leading))) => {
                self.arrive(socket, (joined, leash), leading)?;
                Ok(true)
            }
            (Err(ending @ Ending::Told(Code::EpochChanged, what)), _) => {
                let told = ready((ending, Some(what.to_owned())));
                self.past = Some(Box::new(Past::Keeping(told.boxed())));
                socket.wake();
                Ok(false)
            }
            (Err(ending), _) => Err(ending),
            (Ok(_), _) => Ok(false),
        }
    }

    fn arrive(
        &mut self,
        socket: &mut Socket,
        ((document, reader), leash): (Joined, Leash),
        Leading { outlet, brought, rest, .. }: Leading,
    ) -> Result<(), Ending> {
        (self.document, self.reader) = (document, reader);
        let grant = leash.grant();
        self.leash = leash;
        if grant.can_write() == self.grant.can_write() {
            self.grant = grant;
        } else {
            self.take_grant(socket, grant);
        }
        let mut go_on = || match &brought {
            Brought::Question(known) => self.other(socket, Message::Step1(known)),
            Brought::Copy(update) if update.len() > INLINE_BYTES_MAX => {
                task::block(|| self.step2(socket, update, &[]))
            }
            Brought::Copy(update) => self.step2(socket, update, &[]),
        };
        go_on()?;
        match &mut self.held {
            Some(held) => held.rest.extend(rest),
            None => self.messages_alone(socket, &rest)?,
        }
        outlet.wake();
        socket.wake();
        Ok(())
    }
}

/// Opens a document where it is, for somebody who may read it there.
async fn find(
    relay: Arc<Relay>,
    (before, doc): (Name, DocId),
    released: Released,
    outlet: Arc<dyn Outlet>,
) -> Result<(Joined, Leash), Ending> {
    for _ in 0..ATTEMPTS {
        let Some(path) = relay.vaults.moved_to(&before, doc) else { break };
        let leash = released.enter(&path).await.map_err(elsewhere)?;
        let name = Name { vault: before.vault.clone(), document: path };
        let found = relay.registry.open_existing(&name).await;
        let found = found.map_err(|error| Ending::Told(error.code(), RESTLESS))?;
        let Some(document) = found.filter(|document| document.key().doc == doc) else { continue };
        let grant = leash.grant();
        let can_write = grant.can_write();
        if let Ok(reader) = document.join(Arc::clone(&outlet), grant.principal, can_write) {
            return Ok(((document, reader), leash));
        }
    }
    Err(Ending::Told(Code::TryLater, RESTLESS))
}

/// Who may not read where the document is hears nothing of where that is.
fn elsewhere(refusal: Refusal) -> Ending {
    match refusal.code {
        Code::Unauthorised | Code::Forbidden => Ending::Told(Code::EpochChanged, ELSEWHERE),
        _ => refusal.into(),
    }
}
