//! Signatures of deliveries, after the Standard Webhooks specification 1.0.0: HMAC-SHA256 over the
//! id, the time of the attempt and the body, joined by dots.
//!
//! <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>
//!
//! Called for each attempt. Never shows a secret.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// What a secret's text begins with.
const PREFIX: &str = "whsec_";
/// Least size of a secret, of the specification.
const BYTES_MIN: usize = 24;
/// Greatest size of a secret, of the specification: 512 bits.
const BYTES_MAX: usize = 64;

/// What a delivery is signed with.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

/// A text that is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a secret is whsec_ and the base64 of 24 to 64 random bytes; make one with: \
     echo \"whsec_$(openssl rand -base64 32)\""
)]
pub struct BadSecret;

impl FromStr for Secret {
    type Err = BadSecret;

    fn from_str(text: &str) -> Result<Secret, BadSecret> {
        let text = text.strip_prefix(PREFIX).ok_or(BadSecret)?;
        let bytes = STANDARD.decode(text).map_err(|_| BadSecret)?;
        if (BYTES_MIN..=BYTES_MAX).contains(&bytes.len()) {
            Ok(Secret(bytes))
        } else {
            Err(BadSecret)
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// The header `webhook-signature`: one signature for each secret, separated by spaces.
#[must_use]
pub fn signatures(secrets: &[Secret], id: &str, timestamp_s: u64, body: &[u8]) -> String {
    let sign = |secret: &Secret| {
        let mac = Hmac::<Sha256>::new_from_slice(&secret.0);
        let mut mac = mac.expect("HMAC takes keys of every size");
        mac.update(format!("{id}.{timestamp_s}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    };
    secrets.iter().map(sign).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
