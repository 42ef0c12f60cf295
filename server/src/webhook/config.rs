//! What an operator says about webhooks, and what is wrong with it.
//!
//! Read by `config`, built into hooks by `app`. Never shows a secret or a header's value, not even
//! in the message about a wrong one.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::sign::{BadSecret, Secret};
use crate::auth::reach::Vaults;

/// Headers that are ours to say.
const OWN_HEADERS: [&str; 7] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "te",
    "transfer-encoding",
    "user-agent",
];
/// What our own signature's headers begin with.
const OWN_PREFIX: &str = "webhook-";

/// A URL that is told what happens.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HookConfig {
    /// Names the webhook in logs, and across restarts: under another name it begins anew. Absent:
    /// its URL, which logs then show without path and query.
    pub name: Option<String>,
    /// Where events are posted: `http://` or `https://`. Whoever writes this file decides where the
    /// server connects to; addresses inside the own network are not refused.
    pub url: String,
    /// What deliveries are signed with, as the Standard Webhooks specification writes it: `whsec_`
    /// and the base64 of 24 to 64 random bytes.
    #[schemars(with = "Option<String>")]
    pub secret: Option<Text>,
    /// A file with the secret, readable by its owner alone; instead of `secret`.
    pub secret_file: Option<PathBuf>,
    /// While a secret is being changed, the old one: deliveries are signed with both.
    #[schemars(with = "Option<String>")]
    pub previous_secret: Option<Text>,
    /// Which events it is told. Absent: all of them.
    pub events: Vec<EventType>,
    /// Which vaults it is told of: `"*"`, a list of names, or `{ except = [names] }`.
    pub vaults: Vaults,
    /// Where a webhook begins that was not there before: with what happens from now on, or with
    /// every document there is.
    pub from: From,
    /// A changed document is told after it has been left alone this long.
    pub debounce_ms: u64,
    /// A document that is not left alone is told at least this often.
    pub debounce_max_ms: u64,
    /// Time for one delivery, from connecting to the last byte of the answer.
    pub timeout_ms: u64,
    /// How long a delivery is tried again before it is given up.
    pub retry_for_s: u64,
    /// Deliveries under way at the same time, those of one document never two.
    pub parallel_max: usize,
    /// Session events kept for a receiver that does not take them; beyond it the oldest go.
    /// Document events need no such bound: the feed keeps them.
    pub session_events_max: usize,
    /// Headers that go with each delivery: `{ Authorization = "Bearer …" }`.
    #[schemars(with = "BTreeMap<String, String>", extend("writeOnly" = true))]
    pub headers: BTreeMap<String, Text>,
}

impl Default for HookConfig {
    fn default() -> HookConfig {
        HookConfig {
            name: None,
            url: String::new(),
            secret: None,
            secret_file: None,
            previous_secret: None,
            events: Vec::new(),
            vaults: Vaults::default(),
            from: From::default(),
            debounce_ms: 2_000,
            debounce_max_ms: 10_000,
            // What the specification recommends is 15 to 30 s.
            timeout_ms: 15_000,
            retry_for_s: 72 * 3600,
            parallel_max: 4,
            session_events_max: 10_000,
            headers: BTreeMap::new(),
        }
    }
}

/// What a webhook can be told.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum EventType {
    /// A document has other content, or another path.
    #[serde(rename = "document.changed")]
    Changed,
    /// A document is there that was not.
    #[serde(rename = "document.created")]
    Created,
    /// A document is gone.
    #[serde(rename = "document.deleted")]
    Deleted,
    /// Somebody opened a document.
    #[serde(rename = "session.joined")]
    Joined,
    /// Somebody left a document.
    #[serde(rename = "session.left")]
    Left,
}

impl EventType {
    /// As it is written in configurations and deliveries.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            EventType::Changed => "document.changed",
            EventType::Created => "document.created",
            EventType::Deleted => "document.deleted",
            EventType::Joined => "session.joined",
            EventType::Left => "session.left",
        }
    }

    pub(super) fn is_of_session(self) -> bool {
        matches!(self, EventType::Joined | EventType::Left)
    }
}

/// Where a new webhook begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum From {
    /// With what happens from now on.
    #[default]
    End,
    /// With everything there is.
    Start,
}

/// A text from the configuration that nobody is shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Text(pub String);

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Text(…)")
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("…")
    }
}

/// Why a webhook cannot be. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Something of one webhook.
    #[error("webhook {hook}: {why}")]
    Wrong {
        /// Its name, or the host of its URL.
        hook: String,
        /// What is wrong, and what would do.
        why: String,
    },
    /// Two of one name would share their places.
    #[error("two webhooks are named {0}; give each a `name` of its own")]
    Twice(String),
}

/// A webhook whose configuration holds.
pub struct Hook {
    /// Names it across restarts.
    pub(super) name: String,
    /// Names it in logs.
    pub(super) label: String,
    pub(super) url: Url,
    pub(super) secrets: Vec<Secret>,
    pub(super) headers: HeaderMap,
    pub(super) events: Vec<EventType>,
    pub(super) vaults: Vaults,
    pub(super) from: From,
    pub(super) debounce: Duration,
    pub(super) debounce_max: Duration,
    pub(super) timeout: Duration,
    pub(super) retry_for: Duration,
    pub(super) parallel_max: usize,
    pub(super) session_events_max: usize,
}

impl fmt::Debug for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hook").field("name", &self.label).finish_non_exhaustive()
    }
}

impl Hook {
    /// Checks all webhooks of a configuration and reads their secrets.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn all(configs: &[HookConfig]) -> Result<Vec<Hook>, Error> {
        let hooks = configs.iter().map(Hook::new).collect::<Result<Vec<_>, _>>()?;
        for (at, hook) in hooks.iter().enumerate() {
            if hooks[..at].iter().any(|other| other.name == hook.name) {
                return Err(Error::Twice(hook.label.clone()));
            }
        }
        Ok(hooks)
    }

    fn new(config: &HookConfig) -> Result<Hook, Error> {
        let named = config.name.as_deref().unwrap_or("without a usable url");
        let url = read_url(&config.url).map_err(|why| wrong(named, why))?;
        // The path and the query of many receivers are their secret.
        let label = config.name.clone().unwrap_or_else(|| url.origin().ascii_serialization());
        let wrong = |why: String| wrong(&label, why);
        if label.is_empty() || label.len() > 64 {
            return Err(wrong("`name` has 1 to 64 bytes".to_owned()));
        }
        config.check_numbers().map_err(|(key, wanted)| wrong(format!("`{key}` is {wanted}")))?;
        let mut events = config.events.clone();
        if events.is_empty() {
            use EventType::{Changed, Created, Deleted, Joined, Left};
            events.extend([Changed, Created, Deleted, Joined, Left]);
        }
        Ok(Hook {
            name: config.name.clone().unwrap_or_else(|| config.url.clone()),
            secrets: config.secrets().map_err(wrong)?,
            headers: config.header_map().map_err(wrong)?,
            events,
            vaults: config.vaults.clone(),
            from: config.from,
            debounce: Duration::from_millis(config.debounce_ms),
            debounce_max: Duration::from_millis(config.debounce_max_ms),
            timeout: Duration::from_millis(config.timeout_ms),
            retry_for: Duration::from_secs(config.retry_for_s),
            parallel_max: config.parallel_max,
            session_events_max: config.session_events_max,
            label,
            url,
        })
    }

    pub(super) fn wants(&self, event: EventType) -> bool {
        self.events.contains(&event)
    }

    pub(super) fn wants_sessions(&self) -> bool {
        self.events.iter().any(|event| event.is_of_session())
    }

    pub(super) fn wants_documents(&self) -> bool {
        self.events.iter().any(|event| !event.is_of_session())
    }
}

impl HookConfig {
    /// Whether the file it stands in must be kept from other users of the machine.
    #[must_use]
    pub fn has_secrets(&self) -> bool {
        self.secret.is_some() || self.previous_secret.is_some() || !self.headers.is_empty()
    }

    fn check_numbers(&self) -> Result<(), (&'static str, &'static str)> {
        let day_ms = 24 * 3600 * 1000;
        let checks = [
            ("debounce_ms", self.debounce_ms <= 3_600_000, "at most 3600000 (1 h)"),
            (
                "debounce_max_ms",
                (self.debounce_ms..=day_ms).contains(&self.debounce_max_ms),
                "at least debounce_ms and at most 86400000 (24 h)",
            ),
            (
                "timeout_ms",
                (100..=300_000).contains(&self.timeout_ms),
                "from 100 to 300000 (5 min)",
            ),
            ("retry_for_s", self.retry_for_s <= 30 * 86_400, "at most 2592000 (30 d)"),
            ("parallel_max", (1..=64).contains(&self.parallel_max), "from 1 to 64"),
            (
                "session_events_max",
                (1..=100_000).contains(&self.session_events_max),
                "from 1 to 100000",
            ),
        ];
        match checks.into_iter().find(|(_, holds, _)| !holds) {
            Some((key, _, wanted)) => Err((key, wanted)),
            None => Ok(()),
        }
    }

    fn secrets(&self) -> Result<Vec<Secret>, String> {
        let first = match (&self.secret, &self.secret_file) {
            (Some(secret), None) => secret.0.clone(),
            (None, Some(path)) => read_secret(path)?,
            _ => return Err("give `secret` or `secret_file`, one of them".to_owned()),
        };
        let all = [Some(first), self.previous_secret.as_ref().map(|text| text.0.clone())];
        let read = |text: String| text.parse().map_err(|bad: BadSecret| bad.to_string());
        all.into_iter().flatten().map(read).collect()
    }

    fn header_map(&self) -> Result<HeaderMap, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.headers {
            let lower = name.to_ascii_lowercase();
            if OWN_HEADERS.contains(&lower.as_str()) || lower.starts_with(OWN_PREFIX) {
                return Err(format!("the header {name} is the server's to say"));
            }
            let bad = |_| format!("the header {name:?} has no legal name");
            let name_read = HeaderName::try_from(lower.as_str()).map_err(bad)?;
            let bad = |_| format!("the header {name} has no legal value");
            let mut value = HeaderValue::try_from(value.0.as_str()).map_err(bad)?;
            value.set_sensitive(true);
            headers.insert(name_read, value);
        }
        Ok(headers)
    }
}

fn wrong(hook: &str, why: String) -> Error {
    Error::Wrong { hook: hook.to_owned(), why }
}

/// The URL is not told, for its path may be a secret.
fn read_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("`url` is none ({error}); write https://host/path"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("`url` begins with http:// or https://".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("`url` holds a user or password; send them in `headers`".to_owned());
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("`url` names no host".to_owned());
    }
    Ok(url)
}

fn read_secret(path: &std::path::Path) -> Result<String, String> {
    use std::os::unix::fs::PermissionsExt;
    let at = path.display();
    let failed = |error: std::io::Error| format!("cannot read `secret_file` {at}: {error}");
    let file = std::fs::File::open(path).map_err(failed)?;
    let mode = file.metadata().map_err(failed)?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err(format!("`secret_file` {at} can be read by others; chmod 600 {at}"));
    }
    Ok(std::io::read_to_string(file).map_err(failed)?.trim().to_owned())
}

#[cfg(test)]
mod tests;
