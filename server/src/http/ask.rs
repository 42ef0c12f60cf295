//! One request as the handlers see it: who asks, what the path and the query name, the body.
//!
//! Made by `route`. Each part of a path is decoded once, after it was split off. Never looks
//! whether what is named exists: first comes the grant.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use futures::{Stream, StreamExt, TryStreamExt};
use hyper::http::{HeaderMap, HeaderName, header};
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use serde::de::DeserializeOwned;
use serde_json::json;
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::{VaultName, check_document_name};
use warp::{Filter, Rejection};

use super::State;
use super::body::{self, Chunks};
use super::coding;
use super::error::Error;
use crate::auth::base::Base;
use crate::auth::{Caller, Grant, Role};
use crate::blob::Hash;
use crate::memory::Permit;
use sheaf_ground::task;

/// A body that nobody has read yet.
pub type Body = Arc<Mutex<Option<Chunks>>>;

/// A request.
pub struct Ask {
    /// Who asks.
    pub caller: Caller,
    /// Its headers.
    pub headers: HeaderMap,
    /// How it was addressed, if it says so.
    pub base: Option<Base>,
    captured: Vec<String>,
    query: String,
    body: Body,
    /// For the body, as long as the request is worked on.
    permit: Mutex<Option<Permit>>,
}

/// Entries on a page unless the request says otherwise.
const PAGE: u64 = 100;

/// The place of a file, as the path of a request gives it.
#[derive(Clone, Debug)]
pub struct Place {
    /// The vault.
    pub vault: VaultName,
    /// The path in it, decoded.
    pub path: String,
    /// It was written with an escaped slash: such a name is looked up and never made, since
    /// others on the way may read it as another path.
    pub has_escaped_slash: bool,
}

/// The body of a request, for [`Ask`].
pub(super) fn body() -> impl Filter<Extract = (Body,), Error = Rejection> + Clone {
    warp::body::stream().map(unread)
}

fn unread<S, B>(stream: S) -> Body
where
    S: Stream<Item = Result<B, warp::Error>> + Send + 'static,
    B: Buf + Send,
{
    let chunks = stream.map_ok(|mut chunk| chunk.copy_to_bytes(chunk.remaining()));
    Arc::new(Mutex::new(Some(chunks.boxed())))
}

impl Ask {
    pub(super) fn new(
        caller: Caller,
        (headers, base): (HeaderMap, Option<Base>),
        captured: Vec<String>,
        query: String,
        body: Body,
    ) -> Ask {
        Ask { caller, headers, base, captured, query, body, permit: Mutex::default() }
    }

    /// The `place`-th name in the route's pattern, decoded.
    ///
    /// # Errors
    /// `InvalidPath` if it is not UTF-8.
    pub fn name(&self, place: usize) -> Result<String, Error> {
        let raw = self.captured.get(place).map_or("", String::as_str);
        let text = percent_decode_str(raw).decode_utf8();
        text.map(Cow::into_owned).map_err(|_| invalid("the path is not UTF-8"))
    }

    /// The vault in the path.
    ///
    /// # Errors
    /// `NotFound` for what no vault can be called.
    pub fn vault(&self) -> Result<VaultName, Error> {
        let name = self.name(0)?.parse::<VaultName>();
        name.map_err(|bad| Error::new(Code::NotFound, bad.to_string(), json!({})))
    }

    /// The vault and the file in the path.
    ///
    /// # Errors
    /// As [`Ask::vault`]; `InvalidPath` for what no document can be called.
    pub fn place(&self) -> Result<Place, Error> {
        let vault = self.vault()?;
        let path = self.name(1)?;
        check_document_name(&path).map_err(|bad| Error::invalid_path(bad.to_string()))?;
        let raw = self.captured.get(1).map_or("", String::as_str);
        let has_escaped_slash = path.matches('/').count() != raw.matches('/').count();
        Ok(Place { vault, path, has_escaped_slash })
    }

    /// What the caller may do at a place, at least `least`.
    ///
    /// # Errors
    /// What `auth` refuses with, in the same words whether the place exists or not.
    pub async fn grant(&self, place: &Place, least: Role) -> Result<Grant, Error> {
        Ok(self.caller.grant(&place.vault, Some(&place.path), least).await?)
    }

    /// The query, whose parameters must be among `known`.
    ///
    /// # Errors
    /// `Malformed` for others, for one that comes twice, and for what is not UTF-8.
    pub fn query(&self, known: &[&str]) -> Result<Query, Error> {
        Query::parse(&self.query, known)
    }

    /// The whole body, at most `bytes_max`.
    ///
    /// # Errors
    /// See [`body::read`] and [`coding::decoded`].
    pub async fn bytes(&self, state: &State, bytes_max: usize) -> Result<Bytes, Error> {
        let coding = coding::of_request(&self.headers)?;
        let mut chunks = self.take();
        let State { clock, memory, .. } = state;
        let read = body::read(&self.headers, &mut chunks, bytes_max, clock, memory).await;
        let mut read = match read {
            Ok(read) => read,
            Err(error) => {
                if error.is_too_large() {
                    body::drain(state, &self.headers, chunks);
                }
                return Err(error);
            }
        };
        if let Some(coding) = coding {
            read = task::block(|| coding::decoded(coding, &read, bytes_max, memory))?;
        }
        self.keep(read.permit);
        Ok(read.bytes)
    }

    /// The body as it comes.
    ///
    /// # Errors
    /// `Unsupported` for an encoded one.
    pub fn chunks(&self) -> Result<Chunks, Error> {
        if coding::of_request(&self.headers)?.is_some() {
            let what = "bytes are taken as they are: leave Content-Encoding out";
            return Err(Refusal::unsupported(0, what).into());
        }
        Ok(self.take())
    }

    fn take(&self) -> Chunks {
        self.body.lock().take().expect("a handler reads its body once")
    }

    /// Bytes that were put before, by their hash, in a header.
    ///
    /// # Errors
    /// `Malformed` if it is none.
    pub fn blob_header(&self) -> Result<Option<Hash>, Error> {
        let hash = self.header("sheaf-blob")?.map(str::parse::<Hash>).transpose();
        hash.map_err(|bad| malformed("sheaf-blob", &bad.to_string()))
    }

    /// Keeps a permit for what was read of the body.
    pub fn keep(&self, permit: Option<Permit>) {
        *self.permit.lock() = permit;
    }

    /// The body as text.
    ///
    /// # Errors
    /// As [`Ask::bytes`]; `Unsupported` in another charset than UTF-8, `Malformed` if it is not, or
    /// if there is no body at all: a forgotten one must not empty a file.
    pub async fn text(&self, state: &State, bytes_max: usize) -> Result<String, Error> {
        self.check_charset()?;
        self.check_has_body()?;
        let bytes = self.bytes(state, bytes_max).await?;
        String::from_utf8(bytes.into()).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            Error::new(Code::Malformed, "the body is not UTF-8", json!({ "at": at }))
        })
    }

    /// The body as the JSON of a `T`, which is an object, at most `bytes_max`.
    ///
    /// # Errors
    /// As [`Ask::bytes`]; `Malformed` with line, column and, as far as there is one, field.
    pub async fn json<T>(&self, state: &State, bytes_max: usize) -> Result<T, Error>
    where
        T: DeserializeOwned,
    {
        self.check_charset()?;
        let bytes = self.bytes(state, bytes_max).await?;
        // Which would be taken for one, by the order of its fields.
        if bytes.trim_ascii_start().starts_with(b"[") {
            let before = bytes.split(|byte| *byte == b'[').next().unwrap_or_default();
            let lines: Vec<&[u8]> = before.split(|byte| *byte == b'\n').collect();
            let column = lines.last().map_or(0, |line| line.len()) + 1;
            let details = json!({ "line": lines.len(), "column": column });
            return Err(Error::new(Code::Malformed, "the body is a list, no object", details));
        }
        let mut from = serde_json::Deserializer::from_slice(&bytes);
        let read = serde_path_to_error::deserialize(&mut from).map_err(|error| {
            let field = Some(error.path().to_string()).filter(|path| path != ".");
            unwanted(&error.into_inner(), field)
        })?;
        from.end().map_err(|error| unwanted(&error, None))?;
        Ok(read)
    }

    /// All lines of a header that holds a list, as one.
    #[must_use]
    pub fn list(&self, name: &HeaderName) -> Option<Vec<u8>> {
        let lines: Vec<&[u8]> = self.headers.get_all(name).iter().map(|it| it.as_bytes()).collect();
        (!lines.is_empty()).then(|| lines.join(&b','))
    }

    /// A header of ours, as text.
    ///
    /// # Errors
    /// `Malformed` if it is no plain text.
    pub fn header(&self, name: &'static str) -> Result<Option<&str>, Error> {
        let value = self.headers.get(name).map(|value| value.to_str()).transpose();
        value.map_err(|_| malformed(name, "it is plain ASCII"))
    }

    /// A whole number in a header of ours.
    ///
    /// # Errors
    /// `Malformed` if it is none.
    pub fn number_header(&self, name: &'static str) -> Result<Option<u64>, Error> {
        let Some(text) = self.header(name)? else { return Ok(None) };
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|_| is_plain);
        number.map(Some).ok_or_else(|| malformed(name, "it is a version's number"))
    }

    /// The device that the caller says it is, in a header or, of who can set none, in the query; 0
    /// where it says nothing.
    ///
    /// # Errors
    /// `Malformed` if it is not 16 hex digits.
    pub fn device(&self) -> Result<u64, Error> {
        let mut pairs = self.query.split('&');
        let parameter = pairs.find_map(|pair| pair.strip_prefix("device="));
        let mut device = 0;
        for text in [self.header("sheaf-device")?, parameter].into_iter().flatten() {
            let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
            let told = u64::from_str_radix(text, 16).ok().filter(|_| is_hex);
            let told = told.filter(|told| device == 0 || device == *told);
            device =
                told.ok_or_else(|| malformed("sheaf-device", "one device, of 16 hex digits"))?;
        }
        Ok(device)
    }

    /// Whether there is a body, if only an empty one.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn check_has_body(&self) -> Result<(), Error> {
        let has_body = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING];
        if has_body.iter().any(|name| self.headers.contains_key(name)) {
            return Ok(());
        }
        let what = "there is no body; for an empty text say Content-Length: 0";
        Err(Refusal::malformed(0, what).into())
    }

    /// Whether text in the body is UTF-8, as far as it says.
    ///
    /// # Errors
    /// `Unsupported`.
    pub fn check_charset(&self) -> Result<(), Error> {
        let kind = self.headers.get(header::CONTENT_TYPE).map(|it| it.as_bytes());
        let kind = String::from_utf8_lossy(kind.unwrap_or_default()).to_ascii_lowercase();
        let charset = kind.split(';').find_map(|it| it.trim().strip_prefix("charset="));
        if charset.is_some_and(|it| !["utf-8", "utf8", "us-ascii"].contains(&it.trim_matches('"')))
        {
            return Err(Refusal::unsupported(0, "text is UTF-8 here").into());
        }
        Ok(())
    }
}

/// The parameters after the question mark.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    fn parse(raw: &str, known: &[&str]) -> Result<Query, Error> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in raw.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decoded(name)?;
            // A token may stand in any query; `auth` has taken it.
            if name == "token" {
                continue;
            }
            if !known.contains(&name.as_str()) {
                let details = json!({ "known": known });
                let what = "this path does not have that query parameter";
                return Err(Error::new(Code::Malformed, what, details));
            }
            if pairs.iter().any(|(earlier, _)| *earlier == name) {
                let details = json!({ "parameter": name });
                return Err(Error::new(Code::Malformed, "a query parameter came twice", details));
            }
            pairs.push((name, decoded(value)?));
        }
        Ok(Query(pairs))
    }

    /// A parameter's text.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find_map(|(known, value)| (known == name).then_some(value.as_str()))
    }

    /// A whole number.
    ///
    /// # Errors
    /// `Malformed` if it is none, or not within the range.
    pub fn number(
        &self,
        name: &'static str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, Error> {
        let Some(text) = self.text(name) else { return Ok(None) };
        let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
        let number = text.parse().ok().filter(|number| is_plain && range.contains(number));
        number.map(Some).ok_or_else(|| {
            let message = format!("{name} is from {} to {}", range.start(), range.end());
            Error::new(Code::Malformed, message, json!({ "parameter": name }))
        })
    }

    /// How many entries a page is to have.
    ///
    /// # Errors
    /// As [`Query::number`].
    pub fn page(&self, state: &State) -> Result<usize, Error> {
        let max = state.limits.page_items;
        Ok(self.number("limit", 1..=max)?.unwrap_or(PAGE.min(max)) as usize)
    }

    /// Whether a parameter is switched on: `?name`, `?name=1` or `?name=true`.
    ///
    /// # Errors
    /// `Malformed` for another value.
    pub fn is_on(&self, name: &'static str) -> Result<bool, Error> {
        match self.text(name) {
            None | Some("0" | "false") => Ok(false),
            Some("" | "1" | "true") => Ok(true),
            Some(_) => {
                let details = json!({ "parameter": name });
                Err(Error::new(Code::Malformed, format!("{name} is 1 or 0"), details))
            }
        }
    }
}

/// As forms write it: a plus sign is a space.
fn decoded(part: &str) -> Result<String, Error> {
    let spaced = part.replace('+', " ");
    let text = percent_decode_str(&spaced).decode_utf8();
    let text = text.map(Cow::into_owned);
    text.map_err(|_| Refusal::malformed(0, "the query is not UTF-8").into())
}

fn unwanted(error: &serde_json::Error, field: Option<String>) -> Error {
    let mut details = json!({ "line": error.line(), "column": error.column() });
    if let Some(field) = field {
        details["field"] = field.into();
    }
    Error::new(Code::Malformed, format!("the body is not as wanted: {error}"), details)
}

fn malformed(name: &str, what: &str) -> Error {
    Error::new(Code::Malformed, what, json!({ "header": name }))
}

fn invalid(what: &'static str) -> Error {
    Error::invalid_path(what)
}
