//! A device that has a socket or a stream open.
//!
//! Made for each by the edges. Never outlives a revocation: it says when it is to end.

use std::sync::{Arc, Weak};

use sheaf_ground::time::Clock;
use sheaf_protocol::ids::{Principal, VaultName};
use tokio_util::sync::CancellationToken;

use super::Standing;
use crate::vault::book::Book;
use crate::vault::{Error, Vaults};

/// One socket or stream of a device; it leaves when this is dropped.
pub struct Attendance {
    /// A vault that is deleted goes, though a device has a socket open: so its readers learn it.
    book: Weak<Book>,
    clock: Clock,
    device: u64,
    end: CancellationToken,
}

impl Vaults {
    /// A device that was met has a socket or a stream open from now on.
    ///
    /// # Errors
    /// `NoVault`; `NoDevice`; `DeviceTaken`; `DeviceRevoked`.
    pub fn attend(
        &self,
        name: &VaultName,
        device: u64,
        by: &Principal,
    ) -> Result<Attendance, Error> {
        let book = self.live(name)?;
        let end = {
            let mut state = book.state();
            let known = state.devices.enter(device, by)?.ok_or(Error::NoDevice)?;
            known.open += 1;
            if known.open == 1 {
                book.tell(device, Standing::Connected);
            }
            known.end.clone()
        };
        let clock = self.shared().clock.clone();
        Ok(Attendance { book: Arc::downgrade(&book), clock, device, end })
    }
}

impl Attendance {
    /// Cancelled when the device is revoked or forgotten.
    #[must_use]
    pub fn end(&self) -> CancellationToken {
        self.end.clone()
    }
}

impl Drop for Attendance {
    fn drop(&mut self) {
        let Some(book) = self.book.upgrade() else { return };
        let mut state = book.state();
        let Some(known) = state.devices.known.get_mut(&self.device) else { return };
        // Let in again since, or registered anew: then it is another one's count.
        if self.end.is_cancelled() {
            return;
        }
        known.open -= 1;
        known.now.seen_ms = self.clock.now_ms().max(known.now.seen_ms);
        if known.open == 0 {
            book.tell(self.device, Standing::Away);
        }
    }
}
