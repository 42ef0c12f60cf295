//! What an upload brings: a text, bytes, or the difference to a version.
//!
//! Called by this room alone. Never leaves bytes in memory that the vault keeps as a blob.

use sheaf_protocol::control::Upload;

use super::refused::too_large;
use super::{Operator, Refused, difference};
use crate::vault;
use crate::vault::upload::Uploaded;
use crate::vault::versions::{Held, Read};
use sheaf_ground::task;

/// What an upload brings.
pub(super) enum Body {
    Text(String),
    /// Bytes that the vault has, or is said to have.
    Blob([u8; 32]),
}

/// An upload's body, where it is to be looked at.
pub(super) enum Brought {
    Now(Body),
    /// It came before, and what it was the difference to is not there any more.
    Before(Box<Uploaded>),
}

impl Operator<'_> {
    /// What is meant. Text is UTF-8 without NUL; everything else is put as bytes.
    pub(super) async fn brought(&self, asked: &mut Upload) -> Result<Brought, Refused> {
        let body = match (asked.content.take(), asked.blob, &asked.diff) {
            (Some(content), None, None) => {
                let bytes = content.into_bytes(asked.encoding);
                let bytes = bytes.ok_or(Refused::field("content", "this is no base64"))?;
                match String::from_utf8(bytes) {
                    Ok(text) if !text.contains('\0') => Body::Text(text),
                    Ok(text) => self.put(text.as_bytes())?,
                    Err(no_text) => self.put(no_text.as_bytes())?,
                }
            }
            (None, Some(hash), None) => Body::Blob(hash.0),
            (None, None, Some(diff)) => {
                let base = asked.base_version;
                let base = base.ok_or(Refused::field("base_version", "what it is from"))?;
                let text = match self.base_text(&asked.path, base).await {
                    Ok(text) => text,
                    Err(refused) => {
                        let before = self.before(asked).await?;
                        return before.map(|done| Brought::Before(Box::new(done))).ok_or(refused);
                    }
                };
                let whole = difference::applied(&text, diff, asked.unit.unwrap_or_default());
                Body::Text(whole.map_err(|what| Refused::field("diff", what))?)
            }
            _ => return Err(Refused::field("content", "one of content, blob and diff")),
        };
        match &body {
            Body::Text(text) if text.len() as u64 > self.text_bytes_max => {
                Err(too_large(self.text_bytes_max))
            }
            _ => Ok(Brought::Now(body)),
        }
    }

    /// What an upload came to, if it has a stamp and came before.
    async fn before(&self, asked: &Upload) -> Result<Option<Uploaded>, Refused> {
        let Some(stamp) = asked.stamp else { return Ok(None) };
        Ok(self.vaults.uploaded_before(self.vault, stamp.0).await?)
    }

    fn put(&self, bytes: &[u8]) -> Result<Body, Refused> {
        let (hash, _) = task::block(|| self.vaults.put_bytes(self.vault, bytes))?;
        Ok(Body::Blob(hash))
    }

    /// The text that a difference is from.
    async fn base_text(&self, path: &str, base: u64) -> Result<String, Refused> {
        if base == 0 {
            return Ok(String::new());
        }
        match self.vaults.read_at(self.vault, path, Some(base)).await {
            Ok(Read { held: Held::Text(text), .. }) => Ok(text),
            Ok(_) => Err(Refused::field("diff", "this version is no text")),
            Err(vault::Error::NoVersion { .. }) => {
                let now = self.existing(path)?;
                let (seq, hash) = now.map_or((0, None), |file| (file.seq, file.hash));
                Err(vault::Error::BaseGone { seq, hash }.into())
            }
            Err(error) => Err(error.into()),
        }
    }
}
