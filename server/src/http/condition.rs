//! Entity tags and the headers that make a request depend on them (RFC 9110 §13).
//!
//! The tag of a text is `"<id>-<n>"`: it moves whenever the log of its document moves, never by
//! hash or size. That of bytes is their SHA-256. Called by the handlers of files. Never compares
//! content.

use hyper::http::header;
use serde_json::json;
use sheaf_protocol::error::{Code, Refusal};

use super::ask::Ask;
use super::error::Error;
use crate::document::author::OnlyIf;
use crate::vault;
use crate::vault::condition::At;

/// What the tag of the JSON form of a document ends in: two forms of one state are two
/// representations, which a cache must not take for each other.
const ROOTS: &str = "-roots";

/// The tag of a file's text, or of its bytes.
#[must_use]
pub fn tag(at: At) -> String {
    format!("\"{at}\"")
}

/// The tag of the JSON form of a document.
#[must_use]
pub fn roots_tag(at: At) -> String {
    format!("\"{}{ROOTS}\"", At { bytes: None, ..at })
}

/// What a request says about the state it wants to meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Conditions {
    if_match: Option<Tags>,
    if_none_match: Option<Tags>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Tags {
    /// `*`: whatever is there.
    Any,
    List(Vec<Tag>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Tag {
    is_weak: bool,
    /// Quotes included.
    text: Vec<u8>,
}

impl Conditions {
    /// Reads `If-Match` and `If-None-Match`.
    ///
    /// # Errors
    /// `Malformed` if one is no list of tags.
    pub fn of(ask: &Ask) -> Result<Conditions, Error> {
        let tags = |name, what| match ask.list(&name) {
            Some(list) => parse(&list).map(Some).ok_or(Refusal::malformed(0, what)),
            None => Ok(None),
        };
        let if_match = tags(header::IF_MATCH, "If-Match is no list of entity tags")?;
        let if_none_match = tags(header::IF_NONE_MATCH, "If-None-Match is no list of entity tags")?;
        Ok(Conditions { if_match, if_none_match })
    }

    /// Whether there are any.
    #[must_use]
    pub fn is_any(&self) -> bool {
        *self != Conditions::default()
    }

    /// Whether a state is named by `If-Match`, as a change of part of a document needs.
    ///
    /// # Errors
    /// `PreconditionRequired` without.
    pub fn check_names_state(&self) -> Result<(), Error> {
        match &self.if_match {
            Some(Tags::List(_)) => Ok(()),
            Some(Tags::Any) | None => {
                let what = "say with If-Match: \"…\" for which state of the document this was made";
                Err(Refusal { code: Code::PreconditionRequired, at: 0, what }.into())
            }
        }
    }

    /// Checks a write against what is there now; gives what it depends on.
    ///
    /// # Errors
    /// `Stale`.
    pub fn check_write(&self, now: Option<At>) -> Result<Option<OnlyIf>, vault::Error> {
        let mut only_if = None;
        match (&self.if_match, now) {
            (None, _) | (Some(Tags::Any), Some(_)) => {}
            (Some(Tags::List(tags)), Some(at)) if has_strong(tags, at) => {
                only_if = Some(OnlyIf::At(at.n));
            }
            (Some(_), now) => return Err(vault::Error::Stale { now }),
        }
        match (&self.if_none_match, now) {
            (None, _) => {}
            (Some(Tags::Any), None) => only_if = Some(OnlyIf::New),
            (Some(Tags::List(tags)), Some(at)) if !has_weak(tags, &tag(at)) => {}
            (Some(Tags::List(_)), None) => {}
            (Some(_), now) => return Err(vault::Error::Stale { now }),
        }
        Ok(only_if)
    }

    /// Whether a reader already holds the representation with this tag.
    ///
    /// # Errors
    /// `PreconditionFailed` if it asks for another state.
    pub fn check_read(&self, at: At, tag: &str) -> Result<bool, Error> {
        match &self.if_match {
            Some(Tags::List(tags)) if !has_strong(tags, at) => {
                return Err(vault::Error::Stale { now: Some(at) }.into());
            }
            _ => {}
        }
        Ok(match &self.if_none_match {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::List(tags)) => has_weak(tags, tag),
        })
    }

    /// As [`Conditions::check_read`], of what never changes and has this tag.
    ///
    /// # Errors
    /// `PreconditionFailed` if another one is asked for.
    pub fn check_unchanging(&self, tag: &str) -> Result<bool, Error> {
        let is_it = |it: &Tag| !it.is_weak && it.text == tag.as_bytes();
        match &self.if_match {
            Some(Tags::List(tags)) if !tags.iter().any(is_it) => {
                let message = "this is not what is asked for";
                return Err(Error::new(Code::PreconditionFailed, message, json!({ "etag": tag })));
            }
            _ => {}
        }
        Ok(match &self.if_none_match {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::List(tags)) => has_weak(tags, tag),
        })
    }
}

/// Either form's tag names the state; a weak one never does (RFC 9110 §13.1.1).
fn has_strong(tags: &[Tag], at: At) -> bool {
    let (now, roots) = (tag(at), roots_tag(at));
    let names = |tag: &Tag| tag.text == now.as_bytes() || tag.text == roots.as_bytes();
    tags.iter().any(|tag| !tag.is_weak && names(tag))
}

fn has_weak(tags: &[Tag], wanted: &str) -> bool {
    tags.iter().any(|tag| tag.text == wanted.as_bytes())
}

/// `*`, or entity tags between commas; empty elements are allowed.
fn parse(list: &[u8]) -> Option<Tags> {
    let mut left = list.trim_ascii();
    if left == b"*" {
        return Some(Tags::Any);
    }
    let mut tags = Vec::new();
    while !left.is_empty() {
        if let Some(rest) = left.strip_prefix(b",") {
            left = rest.trim_ascii_start();
            continue;
        }
        let (is_weak, quoted) = match left.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, left),
        };
        let inside = quoted.strip_prefix(b"\"")?;
        let end = inside.iter().position(|byte| *byte == b'"')?;
        let is_legal = |byte: &u8| *byte > b' ' && *byte != 0x7f;
        if !inside[..end].iter().all(is_legal) {
            return None;
        }
        tags.push(Tag { is_weak, text: quoted[..end + 2].to_vec() });
        left = quoted[end + 2..].trim_ascii_start();
        if !left.is_empty() && !left.starts_with(b",") {
            return None;
        }
    }
    (!tags.is_empty()).then_some(Tags::List(tags))
}

#[cfg(test)]
mod tests;
