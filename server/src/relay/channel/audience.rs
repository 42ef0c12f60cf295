//! How many clients each vault's channel has.
//!
//! Job: tell whoever changes something how many hear of it. Called by the channel. Never holds who
//! they are: that is the list of sessions.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use sheaf_protocol::ids::VaultName;

/// The clients of all channels, counted. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Audience(Arc<Mutex<HashMap<VaultName, usize>>>);

/// One client's place; it leaves when this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    audience: Audience,
    vault: VaultName,
}

impl Audience {
    /// Another client of a vault.
    pub(super) fn enter(&self, vault: &VaultName) -> Place {
        *self.0.lock().entry(vault.clone()).or_default() += 1;
        Place { audience: self.clone(), vault: vault.clone() }
    }

    /// Those who hear of what one of them has done.
    pub(super) fn others(&self, vault: &VaultName) -> usize {
        self.0.lock().get(vault).map_or(0, |count| count - 1)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut counts = self.audience.0.lock();
        if let Some(count) = counts.get_mut(&self.vault) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.vault);
            }
        }
    }
}
