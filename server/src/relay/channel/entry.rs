//! The first message: who it is, which vault, and where it is in the feed.
//!
//! Job: let somebody in, or say why not. Called by the channel. Never tells whether a vault exists
//! to somebody who may not read it.

use std::sync::Arc;

use parking_lot::Mutex;
use sheaf_protocol::control::{Auth, AuthOk, Device, Problem, Re, Reply};
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::VaultName;

use super::desk::Paged;
use super::documents::Documents;
use super::feed::Feed;
use super::presence::Presence;
use super::voice::Voice;
use crate::auth::{Caller, Leash, Role};
use crate::relay::dialect::family::Family;
use crate::relay::session::Relay;
use crate::vault::Cursor;
use crate::vault::audience::Place;
use crate::vault::operation::Refused;

/// Somebody who was let in.
pub(super) struct Member {
    pub(super) vault: VaultName,
    pub(super) epoch: u64,
    pub(super) caller: Caller,
    pub(super) device: Option<Device>,
    pub(super) leash: Leash,
    pub(super) feed: Feed,
    pub(super) presence: Presence,
    pub(super) paged: Arc<Mutex<Paged>>,
    pub(super) documents: Documents,
    _place: Place,
}

/// Somebody, and what is said to him.
pub(super) type LetIn = (Box<Member>, Vec<u8>);

/// Lets somebody in; with what is said to him.
///
/// # Errors
/// Why not: the session ends with it.
pub(super) async fn let_in(
    relay: Arc<Relay>,
    caller: Caller,
    named: Option<VaultName>,
    asked: Auth,
    voice: Voice,
) -> Result<LetIn, Refused> {
    let Auth { re, token, vault, device, since, epoch, view, .. } = asked;
    let vault = vault_of(named, vault)?;
    let caller = match token {
        Some(token) => caller.showing(&token.0)?,
        None => caller,
    };
    let told = |refusal| told(&caller, refusal);
    let grant = caller.grant(&vault, None, Role::Read).await.map_err(told)?;
    let shown = relay.vaults.get_or_create(&vault, &grant.principal, grant.can_write()).await?;
    if let Some(Device(device)) = device {
        relay.vaults.meet(&vault, (device, true), &grant.principal).await?;
    }
    let leash = caller.enter(&vault, "", Family::Channel.name(), grant)?;
    let ok = AuthOk {
        re: re.clone(),
        user: leash.grant().principal.name().map(str::to_owned),
        device,
        vault: vault.to_string(),
        mode: "open".to_owned(),
        role: leash.grant().role.name().to_owned(),
        epoch: sheaf_protocol::control::Epoch(shown.epoch),
        version: shown.seq,
        horizon: shown.horizon,
        server_time: relay.clock.now_ms(),
        limits: relay.announced,
    };
    let mut frames = voice.frame(&Reply::AuthOk(ok));
    let now = Cursor::at(shown.epoch, shown.seq);
    let is_other = since.is_some() && epoch.is_some_and(|epoch| epoch.0 != shown.epoch);
    let from = match since {
        Some(since) if !is_other => (Cursor::at(shown.epoch, since), true),
        _ => (now, false),
    };
    if is_other {
        voice.write(&Reply::Error(epoch_changed(shown.epoch, shown.seq, re)), &mut frames);
    }
    let held = Some(from.0).filter(|_| from.1);
    let by = &leash.grant().principal;
    let presence = Presence::new(&relay.vaults, &vault, (device, by), held)?;
    let feed = Feed::new(&relay.vaults, (&vault, shown.epoch), view.unwrap_or_default(), from)?;
    let place = relay.vaults.audience().enter(&vault);
    let member = Member {
        vault,
        epoch: shown.epoch,
        caller,
        device,
        leash,
        feed,
        presence,
        paged: Arc::default(),
        documents: Documents::default(),
        _place: place,
    };
    Ok((Box::new(member), frames))
}

fn vault_of(named: Option<VaultName>, said: Option<String>) -> Result<VaultName, Refused> {
    let said = said.map(VaultName::try_from).transpose();
    let said = said.map_err(|bad| Refused::field("vault", bad.to_string()))?;
    match (named, said) {
        (Some(named), Some(said)) if named != said => {
            Err(Refused::field("vault", "the address of this channel names another vault"))
        }
        (Some(vault), _) | (None, Some(vault)) => Ok(vault),
        (None, None) => Err(Refused::field("vault", "which vault?")),
    }
}

/// A refusal in the words of the channel.
fn told(caller: &Caller, refusal: Refusal) -> Refused {
    let code = match refusal.code {
        Code::Unauthorised if caller.has_shown() => Code::AuthInvalidToken,
        Code::Unauthorised => Code::AuthRequired,
        Code::Forbidden => Code::VaultForbidden,
        other => other,
    };
    Refused::new(code, refusal.what)
}

/// What the client holds is of a vault that had this name before, or of one that was restored.
fn epoch_changed(epoch: u64, seq: u64, re: Option<Re>) -> Problem {
    let what = "your versions are of another epoch: list the files";
    let refused = Refused::new(Code::EpochChanged, what);
    let refused = refused.with("epoch", epoch.to_string()).with("version", seq);
    Problem { re, ..refused.into_problem() }
}
