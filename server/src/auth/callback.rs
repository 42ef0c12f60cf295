//! `[auth_callback]`: somebody else's user system decides.
//!
//! A caller asks it when nobody here knows the token. Answers are kept for a short time, and a
//! crowd with one question asks once. Never lets anyone in without an answer.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use parking_lot::Mutex;
use reqwest::{Client, StatusCode, Url, redirect};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::VaultName;

use super::caller::{FORBIDDEN, is_good_name, not_valid};
use super::role::Role;
use super::token::{Digest, Secret, Token};
use crate::crypto;
use sheaf_ground::time::{Clock, Moment};

/// An answer, in bytes.
const ANSWER_BYTES_MAX: usize = 16 * 1024;

/// A server that is asked what a token is worth.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CallbackConfig {
    /// Where to POST the question `{token, vault, path, address}`: https, or http on loopback.
    pub url: String,
    /// Sent along as `Authorization: Bearer`, so that it knows who asks; 16 bytes or more.
    pub secret: Option<Token>,
    /// How long an answer may take, at most 30,000.
    pub timeout_ms: u64,
    /// How long an answer that lets somebody in is kept.
    pub cache_s: u64,
    /// How long an answer that does not is kept.
    pub negative_cache_s: u64,
    /// Answers that are kept, at most.
    pub cache_entries_max: usize,
    /// How often it is asked again about each live session.
    pub recheck_s: u64,
}

impl Default for CallbackConfig {
    fn default() -> CallbackConfig {
        CallbackConfig {
            url: String::new(),
            secret: None,
            timeout_ms: 2_000,
            cache_s: 30,
            negative_cache_s: 5,
            cache_entries_max: 10_000,
            recheck_s: 60,
        }
    }
}

/// Why it cannot be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It would send tokens in the clear, or nowhere.
    #[error(
        "auth_callback.url must be https://…, or http://… on loopback, without user and password"
    )]
    BadUrl,
    /// A number out of range, or a short secret.
    #[error("auth_callback.{key} must be {wanted}")]
    OutOfRange {
        /// Which.
        key: &'static str,
        /// What would do.
        wanted: &'static str,
    },
    /// No client could be made.
    #[error("cannot make a client for auth_callback: {0}")]
    Client(String),
}

/// What it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) user: Arc<str>,
    pub(super) role: Role,
    /// To be asked again from then on.
    pub(super) until_ms: u64,
    /// Worth nothing from then on without another answer.
    pub(super) expires_ms: Option<u64>,
}

type Answer = Result<Said, Refusal>;

/// One question.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Question {
    token: [u8; 32],
    vault: VaultName,
    path: Option<String>,
}

enum Slot {
    Asking(Shared<BoxFuture<'static, Answer>>),
    Said(Answer, Moment),
}

/// Asks, and remembers.
pub(super) struct Callback {
    config: CallbackConfig,
    client: Client,
    clock: Clock,
    known: Arc<Mutex<HashMap<Question, Slot>>>,
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callback").field("config", &self.config).finish_non_exhaustive()
    }
}

impl CallbackConfig {
    fn check(&self) -> Result<Url, Error> {
        let url = Url::parse(&self.url).map_err(|_| Error::BadUrl)?;
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_near = host == "localhost" || host.parse().is_ok_and(|ip: IpAddr| ip.is_loopback());
        let is_safe = url.scheme() == "https" || (url.scheme() == "http" && is_near);
        if !is_safe || !url.username().is_empty() || url.password().is_some() {
            return Err(Error::BadUrl);
        }
        let out = |key, wanted| Err(Error::OutOfRange { key, wanted });
        if !(1..=30_000).contains(&self.timeout_ms) {
            return out("timeout_ms", "from 1 to 30000");
        }
        if self.cache_s > 3_600 || self.negative_cache_s > 3_600 {
            return out("cache_s", "at most 3600");
        }
        if self.cache_entries_max == 0 {
            return out("cache_entries_max", "at least 1");
        }
        if self.recheck_s == 0 {
            return out("recheck_s", "at least 1");
        }
        if self.secret.as_ref().is_some_and(Token::is_short) {
            return out("secret", "at least 16 bytes");
        }
        Ok(url)
    }
}

impl Callback {
    pub(super) fn new(config: &CallbackConfig, clock: &Clock) -> Result<Callback, Error> {
        config.check()?;
        crypto::choose();
        let client = Client::builder()
            .timeout(Duration::from_millis(config.timeout_ms))
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| Error::Client(error.without_url().to_string()))?;
        let known = Arc::default();
        Ok(Callback { config: config.clone(), client, clock: clock.clone(), known })
    }

    /// Whether another configuration would ask the same.
    pub(super) fn is_like(&self, other: &Callback) -> bool {
        let secret = |it: &Callback| it.config.secret.as_ref().map(Token::digest);
        self.config.url == other.config.url && secret(self) == secret(other)
    }

    /// What `token` is worth for a path of a vault, or for the whole vault.
    pub(super) async fn ask(
        &self,
        token: &Secret,
        vault: &VaultName,
        path: Option<&str>,
        address: IpAddr,
    ) -> Answer {
        let question = Question {
            token: Digest::of(token.reveal().as_bytes()).bytes(),
            vault: vault.clone(),
            path: path.map(str::to_owned),
        };
        let asking = {
            let mut known = self.known.lock();
            match known.get(&question) {
                Some(Slot::Said(answer, until)) if *until > self.clock.now() => {
                    return answer.clone();
                }
                Some(Slot::Asking(asking)) => asking.clone(),
                _ => {
                    let asking = self.put(question.clone(), token, address);
                    self.make_room(&mut known);
                    known.insert(question, Slot::Asking(asking.clone()));
                    asking
                }
            }
        };
        asking.await
    }

    /// Whether it has let somebody in with `token` lately, anywhere.
    pub(super) fn has_let_in(&self, token: &Secret) -> bool {
        let token = Digest::of(token.reveal().as_bytes()).bytes();
        let is_good = |slot: &Slot| matches!(slot, Slot::Said(Ok(_), _));
        self.known.lock().iter().any(|(known, slot)| known.token == token && is_good(slot))
    }

    /// The request itself, shared by all who wait; it leaves its answer for those who come later.
    fn put(
        &self,
        question: Question,
        token: &Secret,
        address: IpAddr,
    ) -> Shared<BoxFuture<'static, Answer>> {
        let body = json!({
            "token": token.reveal(),
            "vault": question.vault,
            "path": question.path,
            "address": address,
        });
        let mut request = self.client.post(&self.config.url).json(&body);
        if let Some(secret) = &self.config.secret {
            request = request.bearer_auth(secret.reveal());
        }
        let (known, clock, config) =
            (Arc::clone(&self.known), self.clock.clone(), self.config.clone());
        let asking = async move {
            let answer = heard(request, &config, &clock).await;
            let kept_s = match &answer {
                Ok(said) => said.until_ms.saturating_sub(clock.now_ms()) / 1000,
                Err(refusal) if refusal.code == Code::Unavailable => 0,
                Err(_) => config.negative_cache_s,
            };
            let mut known = known.lock();
            if kept_s == 0 {
                known.remove(&question);
            } else {
                let until = clock.now() + Duration::from_secs(kept_s);
                known.insert(question, Slot::Said(answer.clone(), until));
            }
            answer
        };
        asking.boxed().shared()
    }

    fn make_room(&self, known: &mut HashMap<Question, Slot>) {
        if known.len() < self.config.cache_entries_max {
            return;
        }
        let now = self.clock.now();
        known.retain(|_, slot| match slot {
            Slot::Said(_, until) => *until > now,
            // Nobody waits for it any more: it would stay for ever.
            Slot::Asking(asking) => asking.strong_count().is_some_and(|count| count > 1),
        });
        if known.len() >= self.config.cache_entries_max {
            let any = known.keys().next().cloned();
            any.map(|question| known.remove(&question));
        }
    }
}

#[derive(Deserialize)]
struct Granted {
    user: String,
    role: Role,
    expires_s: Option<u64>,
}

async fn heard(request: reqwest::RequestBuilder, config: &CallbackConfig, clock: &Clock) -> Answer {
    let failed = |why: &'static str| {
        tracing::warn!(why, "the auth callback gave no answer: access is refused");
        Refusal { code: Code::Unavailable, at: 0, what: "access cannot be checked now" }
    };
    let mut response = request
        .send()
        .await
        .map_err(|error| failed(if error.is_timeout() { "time-out" } else { "no connection" }))?;
    match response.status() {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED => return Err(not_valid()),
        StatusCode::FORBIDDEN => return Err(FORBIDDEN),
        _ => return Err(failed("another status than 200, 401 or 403")),
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|_| failed("the answer broke off"))? {
        body.extend_from_slice(&chunk);
        if body.len() > ANSWER_BYTES_MAX {
            return Err(failed("the answer is too long"));
        }
    }
    let granted: Granted =
        serde_json::from_slice(&body).map_err(|_| failed("the answer is not {user, role}"))?;
    if !is_good_name(&granted.user) {
        return Err(failed("the user's name cannot be shown"));
    }
    let now_ms = clock.now_ms();
    let after = |seconds: u64| now_ms.saturating_add(seconds.saturating_mul(1000));
    let expires_ms = granted.expires_s.map(after);
    let until_ms = after(config.cache_s).min(expires_ms.unwrap_or(u64::MAX));
    Ok(Said { user: granted.user.into(), role: granted.role, until_ms, expires_ms })
}

impl Callback {
    /// How often each live session is asked about.
    pub(super) fn recheck(&self) -> Duration {
        Duration::from_secs(self.config.recheck_s)
    }
}

#[cfg(test)]
mod tests;
