//! From frames to messages and back, in either form.
//!
//! Called by both ends. The kind of a message is read first, and then what this kind has: nothing
//! else of it is ever in memory.

use std::fmt::Display;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::reply::Reply;
use super::request::{KINDS, Push, Request};
use super::scalar::Re;
use super::{guard, pack};
use crate::error::Code;
use crate::limits::MESSAGE_BYTES_MAX;

/// How a message is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON, in text frames.
    Json,
    /// MessagePack with named fields, in binary frames.
    MessagePack,
}

/// A message that says nothing, and what its sender is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misread {
    /// Of which request, as far as it was read.
    pub re: Option<Re>,
    /// Why.
    pub code: Code,
    /// Where.
    pub field: Option<String>,
    /// For people; may hold what the sender has sent.
    pub what: String,
}

impl Misread {
    pub(super) fn of(code: Code, what: impl Into<String>) -> Misread {
        Misread { re: None, code, field: None, what: what.into() }
    }

    pub(super) fn shape(what: impl Into<String>) -> Misread {
        Misread::of(Code::InvalidMessage, what)
    }
}

/// What all messages of a client have.
#[derive(Deserialize)]
struct Head {
    r#type: String,
    re: Option<Re>,
}

/// Bytes of the message that a frame holds, as far as it says: reading more of them than are in the
/// frame takes memory and time.
#[must_use]
pub fn inflated_bytes(frame: &[u8], form: Form) -> usize {
    let packed = pack::packed(frame).filter(|_| form == Form::MessagePack);
    packed.map_or(frame.len(), |packed| pack::size(packed).unwrap_or(usize::MAX))
}

/// Reads a message of a client, of at most `bytes_max` bytes when it is inflated.
///
/// # Errors
/// `InvalidMessage` with the field where there is one, `UnknownType`, `TooLarge`.
pub fn read_request(frame: &[u8], form: Form, bytes_max: usize) -> Result<Request, Misread> {
    match unpacked(frame, form, bytes_max)? {
        Some(inflated) => {
            check(&inflated, form)?;
            request(&inflated, form)
        }
        None => request(frame, form),
    }
}

/// Reads a push that stands alone, as JSON.
///
/// # Errors
/// As [`read_request`].
pub fn read_push(message: &[u8]) -> Result<Push, Misread> {
    check(message, Form::Json)?;
    parse(message, Form::Json)
}

/// Reads a message of the server.
///
/// # Errors
/// As [`read_request`]; a kind that is not known is `InvalidMessage`.
pub fn read_reply(frame: &[u8], form: Form) -> Result<Reply, Misread> {
    match unpacked(frame, form, MESSAGE_BYTES_MAX)? {
        Some(inflated) => {
            check(&inflated, form)?;
            parse(&inflated, form)
        }
        None => parse(frame, form),
    }
}

/// Writes a message.
#[must_use]
pub fn write(message: &impl Serialize, form: Form) -> Vec<u8> {
    match form {
        Form::Json => serde_json::to_vec(message).expect("plain data"),
        Form::MessagePack => rmp_serde::to_vec_named(message).expect("plain data"),
    }
}

/// What is in a compressed frame; the frame's shape has been checked.
fn unpacked(frame: &[u8], form: Form, bytes_max: usize) -> Result<Option<Vec<u8>>, Misread> {
    check(frame, form)?;
    let packed = pack::packed(frame).filter(|_| form == Form::MessagePack);
    packed.map(|packed| pack::inflate(packed, bytes_max)).transpose()
}

fn check(message: &[u8], form: Form) -> Result<(), Misread> {
    match form {
        Form::MessagePack => guard::check(message),
        // Structures are read from lists too, which nobody means.
        Form::Json if message.trim_ascii_start().first() == Some(&b'{') => Ok(()),
        Form::Json => Err(Misread::shape("a message is an object")),
    }
}

fn request(message: &[u8], form: Form) -> Result<Request, Misread> {
    let Head { r#type, re } = parse(message, form)?;
    let read = match r#type.as_str() {
        "auth" => parse(message, form).map(Request::Auth),
        "list_files" => parse(message, form).map(Request::ListFiles),
        "get_changes" => parse(message, form).map(Request::GetChanges),
        "upload_file" => parse(message, form).map(Request::UploadFile),
        "download_file" => parse(message, form).map(Request::DownloadFile),
        "delete_file" => parse(message, form).map(Request::DeleteFile),
        "move_file" => parse(message, form).map(Request::MoveFile),
        "push" => parse(message, form).map(Request::Push),
        "ack" => parse(message, form).map(Request::Ack),
        "doc_sync" => parse(message, form).map(Request::DocSync),
        "doc_update" => parse(message, form).map(Request::DocUpdate),
        "doc_close" => parse(message, form).map(Request::DocClose),
        "ping" => parse(message, form).map(Request::Ping),
        _ => {
            let what = format!("a type is one of {}", KINDS.join(", "));
            Err(Misread { field: Some("type".to_owned()), ..Misread::of(Code::UnknownType, what) })
        }
    };
    read.map_err(|misread| Misread { re, ..misread })
}

fn parse<T: DeserializeOwned>(message: &[u8], form: Form) -> Result<T, Misread> {
    match form {
        Form::Json => {
            let mut from = serde_json::Deserializer::from_slice(message);
            let read =
                serde_path_to_error::deserialize(&mut from).map_err(|error| misread(&error))?;
            from.end().map_err(|error| Misread::shape(error.to_string()))?;
            Ok(read)
        }
        Form::MessagePack => {
            let mut from = rmp_serde::Deserializer::from_read_ref(message);
            serde_path_to_error::deserialize(&mut from).map_err(|error| misread(&error))
        }
    }
}

fn misread<E: Display>(error: &serde_path_to_error::Error<E>) -> Misread {
    let field = error.path().to_string();
    let what = error.inner().to_string();
    // The path of a field that is missing ends before it.
    let missing = what.strip_prefix("missing field `").and_then(|rest| rest.split('`').next());
    let field = match (missing, field.as_str()) {
        (Some(missing), ".") => Some(missing.to_owned()),
        (Some(missing), within) => Some(format!("{within}.{missing}")),
        (None, ".") => None,
        (None, field) => Some(field.to_owned()),
    };
    Misread { field, ..Misread::shape(what) }
}
