//! Devices of vaults: what the fold writes of them, and reading them at start. Called by the
//! journal's fold and by `vault`.
//! Never holds an acknowledgement that was not written: a lost one only delays what is forgotten.

use sheaf_protocol::ids::VaultNo;

use super::keys::cursors::{self, Device};
use super::keys::{self, Key};
use super::window::Window;
use super::{Error, Store, value};

/// Pairs read by one engine call.
const SCAN_PAIRS: usize = 1_000;

impl Window {
    /// Takes what a device is from now on; `None` forgets it.
    ///
    /// # Errors
    /// `TooLarge` for a name that no check let through.
    pub fn device(
        &mut self,
        vault: VaultNo,
        position: u64,
        (device, is_now): (u64, Option<&Device>),
    ) -> Result<(), Error> {
        if position < self.engine_from {
            return Ok(());
        }
        let key = cursors::key(vault, device);
        match is_now {
            Some(is_now) => value::put_one(&mut self.batch, &key, &is_now.encode()),
            None => {
                self.batch.delete(key);
                Ok(())
            }
        }
    }
}

impl Store {
    /// The devices of a vault, and how many cannot be read: those register again.
    ///
    /// # Errors
    /// What the engine reports.
    pub fn devices(&self, vault: VaultNo) -> Result<(Vec<(u64, Device)>, usize), Error> {
        let prefix = keys::vault_prefix(vault, Key::Cursors);
        let (mut found, mut damaged) = (Vec::new(), 0);
        let mut from: Option<Vec<u8>> = None;
        loop {
            let pairs = self.engine().scan(&prefix, from.as_deref(), SCAN_PAIRS)?;
            for pair in &pairs {
                let device = value::body(pair).ok().and_then(Device::decode);
                match cursors::device(&pair.0).zip(device) {
                    Some(device) => found.push(device),
                    None => damaged += 1,
                }
            }
            match pairs.into_iter().next_back() {
                Some((key, _)) => from = Some(key),
                None => return Ok((found, damaged)),
            }
        }
    }
}
