//! The head of a connection's first request, looked at before hyper is.
//!
//! Job: say whether a connection begins with a whole upgrade request. Such a one needs no HTTP
//! machinery, and its answer leaves together with the session's first words. Called by `listen`,
//! which gives everything else to hyper, in doubt too. Never takes what hyper would refuse, or
//! would read in another way.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::mem::MaybeUninit;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use httparse::Status;
use hyper::Request;
use hyper::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};

use super::stream::Stream;
use super::upgrade;

/// Bytes that are looked at: a longer head is one with many cookies, and goes to hyper.
const READ_BYTES: usize = 4096;

/// Header lines of a request; browsers send about twenty.
pub(super) const HEADERS_MAX: usize = 64;

/// What a connection begins with.
#[derive(Debug)]
pub(super) struct First {
    /// Bytes that were read; none: the peer has ended its side.
    pub read: Bytes,
    /// The upgrade request at their beginning.
    pub upgrade: Found,
}

/// An upgrade request and its length, if the bytes begin with one.
type Found = Option<(Request<()>, usize)>;

/// The bytes may become an upgrade request.
struct Partial;

/// Reads until the head of the first request is there, or is none that is of interest here.
///
/// # Errors
/// The socket is gone.
pub(super) async fn first(stream: &Stream) -> io::Result<First> {
    let mut before = Bytes::new();
    poll_fn(|cx| poll_first(stream, &mut before, cx)).await
}

fn poll_first(
    stream: &Stream,
    before: &mut Bytes,
    cx: &mut Context<'_>,
) -> Poll<io::Result<First>> {
    // Not in the task: it would be as large for as long as a client says nothing.
    let mut bytes = [0; READ_BYTES];
    loop {
        let got = match stream.try_read(&mut bytes[before.len()..]) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                ready!(stream.poll_read_ready(cx))?;
                continue;
            }
            got => got?,
        };
        bytes[..before.len()].copy_from_slice(before);
        let read = Bytes::copy_from_slice(&bytes[..before.len() + got]);
        let upgrade = match head(&read) {
            Err(Partial) if got > 0 && read.len() < READ_BYTES => {
                *before = read;
                continue;
            }
            found => found.unwrap_or_else(|Partial| None),
        };
        return Poll::Ready(Ok(First { read, upgrade }));
    }
}

fn head(bytes: &Bytes) -> Result<Found, Partial> {
    let mut lines = [const { MaybeUninit::uninit() }; HEADERS_MAX];
    let mut head = httparse::Request::new(&mut []);
    match head.parse_with_uninit_headers(bytes, &mut lines) {
        Ok(Status::Complete(length)) => Ok(upgrade(bytes, &head).map(|request| (request, length))),
        Ok(Status::Partial) => Err(Partial),
        Err(_) => Ok(None),
    }
}

fn upgrade(bytes: &Bytes, head: &httparse::Request<'_, '_>) -> Option<Request<()>> {
    if head.method != Some(Method::GET.as_str()) || head.version != Some(1) {
        return None;
    }
    let mut headers = HeaderMap::with_capacity(head.headers.len());
    for line in head.headers.iter() {
        let name = HeaderName::from_bytes(line.name.as_bytes()).ok()?;
        let value = HeaderValue::from_maybe_shared(bytes.slice_ref(line.value)).ok()?;
        headers.append(name, value);
    }
    // With a body, or with something to be said before one, it is no plain upgrade.
    let odd = [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::EXPECT];
    if odd.iter().any(|name| headers.contains_key(name)) || !upgrade::is_wanted(&headers) {
        return None;
    }
    let target = bytes.slice_ref(head.path?.as_bytes());
    let mut request = Request::new(());
    *request.uri_mut() = Uri::from_maybe_shared(target).ok()?;
    *request.headers_mut() = headers;
    Some(request)
}

#[cfg(test)]
mod tests;
