//! What of a changed configuration a running server takes: who may do what, and how often.
//!
//! Called by `cli` when the configuration has changed. Never touches a session whose grant is the
//! same, and never does half of a change.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{App, Error};
use crate::config::Config;
use sheaf_ground::task;

/// Keys, and beginnings of keys, that are taken at once.
const LIVE: [&str; 10] = [
    "users",
    "jwt",
    "auth_callback",
    "allow_anonymous",
    "hosts",
    "origins",
    "limits.sessions_",
    "limits.rate_",
    "tls.cert_file",
    "tls.key_file",
];

impl App {
    /// The configuration in force.
    #[must_use]
    pub fn config(&self) -> Arc<Config> {
        self.config.load_full()
    }

    /// Takes what can be taken without a restart, for live sessions too; names the rest in the log.
    ///
    /// # Errors
    /// What `auth` refuses; then everything stays as it was.
    pub fn reload(&self, config: Config) -> Result<(), Error> {
        task::block(|| {
            self.reload_certificate(&config);
            self.auth.replace(&config.auth())
        })?;
        let waiting = other_keys(&self.config(), &config);
        if !waiting.is_empty() {
            let keys = waiting.join(", ");
            tracing::warn!(keys, "these keys have changed and need a restart");
        }
        tracing::info!("the configuration was read again");
        self.config.store(Arc::new(config));
        Ok(())
    }

    /// Apart from the rest: a certificate that is half renewed must not keep a user from being
    /// shut out.
    fn reload_certificate(&self, config: &Config) {
        let (Some(tls), Some(files)) = (&self.tls, &config.tls) else { return };
        if let Err(error) = tls.reload(files) {
            tracing::error!(%error, "the certificate was not taken: the old one stays");
        }
    }
}

/// The keys that differ and are not taken at once.
fn other_keys(old: &Config, new: &Config) -> Vec<String> {
    let flat = |config: &Config| {
        let mut keys = Map::new();
        flatten("", serde_json::to_value(config).unwrap_or_default(), &mut keys);
        keys
    };
    let (old, new) = (flat(old), flat(new));
    let differs = |key: &&String| old.get(*key) != new.get(*key);
    let waits = |key: &&String| !LIVE.iter().any(|live| key.starts_with(live));
    let mut keys: Vec<_> = old.keys().chain(new.keys()).filter(differs).filter(waits).collect();
    keys.sort_unstable();
    keys.dedup();
    keys.into_iter().cloned().collect()
}

fn flatten(prefix: &str, value: Value, keys: &mut Map<String, Value>) {
    match value {
        Value::Object(table) => {
            for (name, value) in table {
                let dot = if prefix.is_empty() { "" } else { "." };
                flatten(&format!("{prefix}{dot}{name}"), value, keys);
            }
        }
        value => drop(keys.insert(prefix.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests;
