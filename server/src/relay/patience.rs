//! A connection as hyper sees it: one that ends when its peer stops taking what it asked for.
//!
//! `listen` wraps every connection for as long as it is HTTP; a session watches its socket itself.
//! Reading is bounded elsewhere: heads by hyper's time-out, bodies by `http::body`. Never cuts off
//! a response that moves at the least rate, however long it is.

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Stream;
use sheaf_ground::time::Clock;

/// A full socket must take so many bytes in so much time: about 2 KiB a second.
const TIME: Duration = Duration::from_secs(30);
const BYTES: usize = 64 * 1024;

type Timer = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A stream with an end to its patience.
pub(super) struct Patient {
    stream: Stream,
    /// What was read before.
    read: Bytes,
    clock: Clock,
    /// Since the socket was full: the deadline, and what it has taken meanwhile.
    stuck: Option<(Timer, usize)>,
}

impl Patient {
    /// `read` are bytes that were read from the stream already.
    pub(super) fn new(stream: Stream, read: Bytes, clock: Clock) -> Patient {
        Patient { stream, read, clock, stuck: None }
    }

    /// The stream, and what nobody has asked for of the bytes read before.
    pub(super) fn into_parts(self) -> (Stream, Bytes) {
        (self.stream, self.read)
    }

    /// Looks at how a write went.
    fn watch(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => {
                let clock = &self.clock;
                let (deadline, _) = self.stuck.get_or_insert_with(|| {
                    let clock = clock.clone();
                    (Box::pin(async move { clock.sleep(TIME).await }), 0)
                });
                if deadline.as_mut().poll(cx).is_ready() {
                    return Poll::Ready(Err(ErrorKind::TimedOut.into()));
                }
            }
            Poll::Ready(Ok(bytes)) => {
                if let Some((_, taken)) = &mut self.stuck {
                    *taken += bytes;
                    if *taken >= BYTES {
                        self.stuck = None;
                    }
                }
            }
            Poll::Ready(Err(_)) => {}
        }
        written
    }
}

impl AsyncRead for Patient {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.read.is_empty() {
            let part = into.remaining().min(self.read.len());
            into.put_slice(&self.read.split_to(part));
            return Poll::Ready(Ok(()));
        }
        // An empty slice keeps all of it.
        self.read = Bytes::new();
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl AsyncWrite for Patient {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = AsyncWrite::poll_flush(Pin::new(&mut self.stream), cx);
        let flushed = self.watch(cx, flushed.map_ok(|()| 0)).map_ok(|_| ());
        if matches!(flushed, Poll::Ready(Ok(()))) {
            // hyper flushes when it has nothing left: the peer has taken it all.
            self.stuck = None;
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.watch(cx, shut.map_ok(|()| 0)).map_ok(|_| ())
    }
}

#[cfg(test)]
mod tests;
