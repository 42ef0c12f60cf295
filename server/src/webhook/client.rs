//! One delivery over the network: a signed POST and what its answer means.
//!
//! Called by `teller`. Never follows a redirect, never takes a proxy from the environment, and
//! never looks into an answer's body.

use std::sync::Arc;
use std::time::Duration;

use reqwest::header::{CONTENT_TYPE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Response, StatusCode};

use super::config::Hook;
use super::event::Event;
use super::queue::Outcome;
use super::sign;
use sheaf_ground::time::Clock;

/// How much of an answer is read, so that its connection can be used again.
const ANSWER_BYTES_MAX: usize = 64 << 10;
/// How long an answer's body is waited for.
const BODY_TIME_MAX: Duration = Duration::from_secs(1);
/// Idle connections are closed before the usual receiver does it, which would cost a failed try.
const IDLE_TIME_MAX: Duration = Duration::from_secs(4);

/// Sends a hook's deliveries.
pub(super) struct Client {
    hook: Arc<Hook>,
    http: reqwest::Client,
    clock: Clock,
}

impl Client {
    /// Prepares connections; opens none.
    pub(super) fn new(hook: Arc<Hook>, clock: Clock) -> Result<Client, reqwest::Error> {
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .referer(false)
            .http1_only()
            .pool_idle_timeout(IDLE_TIME_MAX)
            .pool_max_idle_per_host(hook.parallel_max)
            .user_agent(concat!("Sheaf/", env!("CARGO_PKG_VERSION")));
        if hook.url.scheme() == "http" {
            // No certificate will be looked at: a machine without any can send, too.
            builder = builder.tls_certs_only([]);
        }
        Ok(Client { http: builder.build()?, hook, clock })
    }

    /// One try. The time of the attempt is part of what is signed, so each try has its own.
    pub(super) async fn send(&self, event: &Event) -> Outcome {
        let timestamp_s = self.clock.now_ms() / 1000;
        let signature = sign::signatures(&self.hook.secrets, &event.id, timestamp_s, &event.body);
        let request = self
            .http
            .post(self.hook.url.clone())
            .headers(self.hook.headers.clone())
            .header(CONTENT_TYPE, "application/json")
            .header("webhook-id", &event.id)
            .header("webhook-timestamp", timestamp_s)
            .header("webhook-signature", signature)
            .body(event.body.clone());
        let webhook = &self.hook.label;
        match self.clock.deadline(self.hook.timeout, request.send()).await {
            Ok(Ok(mut response)) => {
                // The status has been said: what becomes of the body changes nothing.
                let _ = self.clock.deadline(BODY_TIME_MAX, skip_body(&mut response)).await;
                self.judge(&response)
            }
            Ok(Err(error)) => {
                let error = error.without_url();
                let why = if error.is_connect() { "no connection" } else { "no answer" };
                tracing::debug!(webhook, id = event.id, %error, why, "delivery failed");
                Outcome::Failed(None)
            }
            Err(_) => {
                tracing::debug!(
                    webhook,
                    id = event.id,
                    why = "no answer in time",
                    "delivery failed"
                );
                Outcome::Failed(None)
            }
        }
    }

    fn judge(&self, response: &Response) -> Outcome {
        let status = response.status();
        if status.is_success() {
            return Outcome::Taken;
        }
        let webhook = &self.hook.label;
        tracing::debug!(webhook, status = status.as_u16(), "delivery not taken");
        if status == StatusCode::GONE {
            return Outcome::Gone;
        }
        // As seconds alone: a date would need the receiver's clock to be right.
        let wanted = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        let wanted = wanted.and_then(|text| text.trim().parse().ok());
        Outcome::Failed(wanted.map(Duration::from_secs))
    }
}

/// Reads what is left of a short answer. An answer that is longer, or breaks, costs its connection
/// and nothing else: the status has been said.
async fn skip_body(response: &mut Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = response.chunk().await {
        read += chunk.len();
        if read > ANSWER_BYTES_MAX {
            return;
        }
    }
}
