//! Which device a client of the channel is, and what happens to the others.
//!
//! Job: keep the device connected while its socket is, end it when the device is revoked, and tell
//! of the vault's other devices. Called by the channel. Never keeps more happenings than one page.

use std::collections::VecDeque;
use std::task::{Context, Poll};

use futures::FutureExt;
use futures::future::BoxFuture;
use sheaf_protocol::control::{Device, DeviceNews, DeviceState, Reply};
use sheaf_protocol::ids::{Principal, VaultName};
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

use super::voice::Voice;
use crate::vault::devices::{Attendance, Happening, Standing};
use crate::vault::{self, Cursor, Vaults};

/// Happenings that wait to be told; then no more are heard, and a client may miss some.
const WAITING_MAX: usize = 64;

/// The next happening, and the ear for those behind it; no happening where some were missed.
type Heard = (Receiver<Happening>, Option<Happening>);

/// A client's own device, and its ear.
pub(super) struct Presence {
    _attendance: Option<Attendance>,
    end: Option<BoxFuture<'static, ()>>,
    /// None while a wait has it, and when the vault is gone.
    heard: Option<Receiver<Happening>>,
    wait: Option<BoxFuture<'static, Option<Heard>>>,
    told: VecDeque<Happening>,
}

impl Presence {
    /// A client, and the device that it says it is, which was met, and which holds everything up to
    /// a place.
    ///
    /// # Errors
    /// `NoVault`; `DeviceRevoked`.
    pub(super) fn new(
        vaults: &Vaults,
        vault: &VaultName,
        (device, by): (Option<Device>, &Principal),
        held: Option<Cursor>,
    ) -> Result<Presence, vault::Error> {
        let attendance = match device {
            Some(device) => Some(vaults.attend(vault, device.0, by)?),
            None => None,
        };
        if let (Some(device), Some(held)) = (device, held) {
            // A place that has expired is told with the feed.
            let _ = vaults.acknowledge(vault, device.0, by, held);
        }
        let end = attendance.as_ref().map(|it| it.end().cancelled_owned().boxed());
        let heard = Some(vaults.watch_devices(vault)?);
        let (wait, told) = (None, VecDeque::new());
        Ok(Presence { _attendance: attendance, end, heard, wait, told })
    }

    /// Hears what happens. True: the device is revoked or forgotten, and the session ends.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> bool {
        if let Some(end) = &mut self.end
            && end.poll_unpin(cx).is_ready()
        {
            self.end = None;
            return true;
        }
        while self.told.len() < WAITING_MAX {
            if let Some(heard) = self.heard.take() {
                self.wait = Some(hear(heard).boxed());
            }
            let Some(wait) = &mut self.wait else { return false };
            let Poll::Ready(news) = wait.poll_unpin(cx) else { return false };
            self.wait = None;
            let Some((heard, happening)) = news else { return false };
            self.heard = Some(heard);
            self.told.extend(happening);
        }
        false
    }

    /// Writes what was heard.
    pub(super) fn fill(&mut self, voice: Voice, out: &mut Vec<u8>) {
        for Happening { device, standing } in self.told.drain(..) {
            let state = match standing {
                Standing::Connected => DeviceState::Connected,
                Standing::Away => DeviceState::Left,
                Standing::Stale => DeviceState::Stale,
                Standing::Revoked => DeviceState::Revoked,
            };
            voice.write(&Reply::Device(DeviceNews { device: Device(device), state }), out);
        }
    }
}

/// `None`: the vault is gone.
async fn hear(mut heard: Receiver<Happening>) -> Option<Heard> {
    match heard.recv().await {
        Ok(happening) => Some((heard, Some(happening))),
        Err(RecvError::Lagged(_)) => Some((heard, None)),
        Err(RecvError::Closed) => None,
    }
}
