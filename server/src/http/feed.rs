//! A vault's feed as server-sent events.
//!
//! Called by `changes`. One task follows the feed for each reader and hands it a page at a time:
//! with a reader that does not read, it stands still. It is a session as any other: listed, counted
//! and ended with its grant. Never holds more than one page for a reader, and never outlives what
//! its leash says.

use std::convert::Infallible;
use std::fmt::Write;
use std::future::{self, poll_fn};
use std::time::Duration;

use bytes::Bytes;
use futures::stream;
use hyper::http::{HeaderValue, header};
use sheaf_protocol::error::Refusal;
use tokio::sync::{mpsc, watch};
use warp::Reply;
use warp::reply::Response;

use super::State;
use super::ask::Ask;
use super::changes::{self, ChangePage, Reading};
use super::error::Error;
use crate::auth::{Grant, Leash};
use crate::vault;
use crate::vault::devices::Attendance;

/// A sign of life, so that proxies do not take a quiet stream for a dead one.
const COMMENT_EVERY: Duration = Duration::from_secs(15);
/// What a reader of the feed speaks, in the list of sessions.
const DIALECT: &str = "feed";
/// What a reader waits before it connects again, in milliseconds.
const RETRY: &str = "retry: 2000\n\n";

/// Answers with the stream.
///
/// # Errors
/// Those of the first page: a cursor that has expired is told as any error. `TooMany` over the caps
/// on sessions.
pub(super) fn answer(
    state: State,
    ask: &Ask,
    grant: Grant,
    reading: Reading,
) -> Result<Response, Error> {
    let first = changes::page(&state, &reading)?;
    let seq = state.vaults.watch(&reading.vault)?;
    let attendance = match reading.device {
        0 => None,
        device => Some(state.vaults.attend(&reading.vault, device, &grant.principal)?),
    };
    let leash = ask.caller.enter(&reading.vault, "", DIALECT, grant)?;
    let (sender, receiver) = mpsc::channel::<Bytes>(1);
    let tasks = state.tasks.clone();
    let reader = Reader { state, reading, sender, seq };
    tasks.spawn("feed", reader.run(first, (leash, attendance)));
    let chunks = stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (Ok::<_, Infallible>(chunk), receiver))
    });
    let mut response = warp::reply::stream(chunks).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, super::NO_STORE);
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// One reader of the stream.
struct Reader {
    state: State,
    reading: Reading,
    /// Holds one chunk; the next is made when that is taken.
    sender: mpsc::Sender<Bytes>,
    seq: watch::Receiver<u64>,
}

/// Why a stream ends.
enum End {
    /// The reader has gone, or the server stops: nobody needs to be told.
    Quiet,
    /// Something that the reader is told with an event.
    Told(Error),
}

impl Reader {
    async fn run(
        mut self,
        first: ChangePage,
        (mut leash, attendance): (Leash, Option<Attendance>),
    ) {
        let readers = self.state.metrics.http.feed_readers.clone();
        readers.inc();
        let stopping = self.state.tasks.stopping().clone();
        let ended = tokio::select! {
            biased;
            () = stopping.cancelled() => End::Quiet,
            // Before the feed each time, however much there is to read.
            refusal = let_go(&mut leash) => End::Told(refusal.into()),
            () = revoked(attendance.as_ref()) => End::Told(vault::Error::DeviceRevoked.into()),
            ended = self.follow(first) => ended,
        };
        if let End::Told(error) = ended {
            // If the reader has not even taken the last page, it learns it from the end alone.
            let _ = self.sender.try_send(error.into_event().into());
        }
        readers.dec();
    }

    async fn follow(&mut self, first: ChangePage) -> End {
        match self.read_on(first).await {
            Ok(never) => match never {},
            Err(end) => end,
        }
    }

    async fn read_on(&mut self, first: ChangePage) -> Result<Infallible, End> {
        self.send(RETRY.to_owned()).await?;
        let mut page = first;
        loop {
            self.reading.since = page.cursor.parse().expect("a cursor that we have written");
            if !page.changes.is_empty() {
                self.send(events(&page)).await?;
            }
            if !page.more {
                self.wait().await?;
            }
            page = changes::page(&self.state, &self.reading).map_err(End::Told)?;
        }
    }

    /// Until the feed goes beyond where the reader is; signs of life meanwhile.
    async fn wait(&mut self) -> Result<(), End> {
        let clock = self.state.clock.clone();
        loop {
            let since = self.reading.since.seq;
            tokio::select! {
                changed = self.seq.wait_for(|seq| *seq > since) => {
                    // Without it the vault is gone, though there may be another of its name.
                    return changed.map(drop).map_err(|_| End::Told(Error::no_vault()));
                }
                () = self.sender.closed() => return Err(End::Quiet),
                () = clock.sleep(COMMENT_EVERY) => {}
            }
            self.send(":\n\n".to_owned()).await?;
        }
    }

    /// Hands over a chunk when the one before has been taken.
    async fn send(&mut self, chunk: String) -> Result<(), End> {
        self.sender.send(chunk.into()).await.map_err(|_| End::Quiet)
    }
}

/// Why the session must end, when it must. Another role is none: whoever is here may read.
async fn let_go(leash: &mut Leash) -> Refusal {
    loop {
        if let Err(refusal) = poll_fn(|cx| leash.poll_change(cx)).await {
            return refusal;
        }
    }
}

/// Returns when the reader's device is revoked; without one never.
async fn revoked(attendance: Option<&Attendance>) {
    match attendance {
        Some(attendance) => attendance.end().cancelled_owned().await,
        None => future::pending().await,
    }
}

fn events(page: &ChangePage) -> String {
    let mut text = String::new();
    for change in &page.changes {
        let data = serde_json::to_string(change).expect("plain data");
        writeln!(text, "id: {}\nevent: change\ndata: {data}\n", change.cursor)
            .expect("writing to a String cannot fail");
    }
    text
}
