//! A client as light as it can be: a socket that speaks a dialect, without a document. Scenarios
//! hold as many as they like; all of them live on one thread.

pub(crate) mod account;
pub(crate) mod dialect;
pub(crate) mod replica;
pub(crate) mod wire;

use std::cell::Cell;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::target::Target;
use dialect::{EMPTY_STATE_VECTOR, Heard, Room};
use wire::{Frame, Frames};

/// Connections that are opened at a time, where opening is not what is measured.
pub(crate) const OPENED_AT_ONCE: usize = 32;
/// How long a connection, or the document's first answer on it, may take.
pub(crate) const OPEN_TIME_MAX: Duration = Duration::from_secs(60);
/// Between two tries of a client that is to come later.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);
/// Stock clients renew their presence every 15 s; Hocuspocus closes who says nothing for a minute.
const SIGN_EVERY: Duration = Duration::from_secs(15);
/// One read takes what a socket holds. The buffer is the thread's: a hundred bots with their own
/// would push each other out of the cache.
const READ_BYTES: usize = 256 << 10;

thread_local! {
    static READ_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A client.
pub(crate) struct Bot {
    stream: TcpStream,
    frames: Frames,
    pub(crate) room: Room,
    /// Framed, not sent yet; `sent` of it are.
    out: Vec<u8>,
    sent: usize,
    pub(crate) counts: Counts,
    /// When it last gave a sign of life.
    alive_at: Instant,
}

/// A client that has its document.
pub(crate) struct Joined {
    pub(crate) bot: Bot,
    /// The document's first answer: what the server holds beyond what the client knew.
    pub(crate) answer: Vec<u8>,
    /// From nothing to having it.
    pub(crate) took_us: u64,
}

/// What went over a socket.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) bytes_in: u64,
    pub(crate) frames_in: u64,
    pub(crate) bytes_out: u64,
}

/// A name for a document that nobody else has.
pub(crate) fn fresh_name() -> String {
    format!("loadtest-{:016x}", rand::random::<u64>())
}

/// Connects in one of the ways below, and waits for the document.
pub(crate) async fn join(
    connecting: impl Future<Output = anyhow::Result<Bot>>,
) -> anyhow::Result<Joined> {
    let start = Instant::now();
    let mut bot = connecting.await?;
    let answer = bot.synced().await?;
    Ok(Joined { bot, answer, took_us: start.elapsed().as_micros() as u64 })
}

/// Connects and asks for the document; what comes back is not waited for.
pub(crate) async fn connect(target: &Target, room: &str) -> anyhow::Result<Bot> {
    connect_to(Room::new(target, room)?).await
}

/// Connects and asks for the document; what comes back is not waited for.
pub(crate) async fn connect_to(room: Room) -> anyhow::Result<Bot> {
    connect_knowing(room, EMPTY_STATE_VECTOR).await
}

/// As [`connect_to`], for many clients whose openings are not what is measured: a server that takes
/// only so many a second gets no more.
pub(crate) async fn connect_when_let(room: Room) -> anyhow::Result<Bot> {
    let until = Instant::now() + OPEN_TIME_MAX;
    loop {
        match connect_to(room.clone()).await {
            Err(error)
                if error.downcast_ref().is_some_and(wire::Refused::is_for_now)
                    && Instant::now() < until =>
            {
                sleep_until(Instant::now() + REFUSED_PAUSE).await;
            }
            connected => return connected,
        }
    }
}

/// As [`connect`], for one that holds what this state vector says.
pub(crate) async fn connect_knowing(room: Room, vector: &[u8]) -> anyhow::Result<Bot> {
    let opening = async {
        let (stream, pending) = wire::upgrade(&room.socket().await?).await?;
        let mut out = Vec::with_capacity(128);
        room.write_opening(vector, &mut out);
        let (frames, counts) = (Frames::new(pending), Counts::default());
        let alive_at = Instant::now();
        let mut bot = Bot { stream, frames, room, out, sent: 0, counts, alive_at };
        bot.flush().await?;
        Ok(bot)
    };
    timeout(OPEN_TIME_MAX, opening).await.context("no connection in a minute")?
}

impl Bot {
    /// Frames an update; [`Bot::flush`] or a turn sends it.
    pub(crate) fn push_update(&mut self, update: &[u8]) {
        self.room.write_update(update, &mut self.out);
    }

    /// Frames an awareness message; [`Bot::flush`] or a turn sends it.
    pub(crate) fn push_awareness(&mut self, awareness: &[u8]) {
        self.room.write_awareness(awareness, &mut self.out);
    }

    /// Frames the question what is stored; nothing where that is told unasked.
    pub(crate) fn push_version(&mut self, version: u64) {
        self.room.write_version(version, &mut self.out);
    }

    /// Frames the question what the server holds; [`Bot::synced`] waits for the answer.
    pub(crate) fn push_question(&mut self) {
        self.room.write_question(&mut self.out);
    }

    /// Sends an update at once.
    pub(crate) async fn send_update(&mut self, update: &[u8]) -> anyhow::Result<()> {
        self.push_update(update);
        self.flush().await
    }

    /// Sends an update and waits until the server has it: what is asked behind it is answered.
    pub(crate) async fn put(&mut self, update: &[u8]) -> anyhow::Result<()> {
        self.send_update(update).await?;
        self.push_question();
        self.flush().await?;
        self.synced().await.context("asking for what was just sent").map(drop)
    }

    /// Bytes that the socket has not taken yet.
    pub(crate) fn unsent(&self) -> usize {
        self.out.len() - self.sent
    }

    /// Reads until the document's first answer is there, and returns it.
    pub(crate) async fn synced(&mut self) -> anyhow::Result<Vec<u8>> {
        let mut answer = None;
        let reading = async {
            while answer.is_none() {
                self.listen(|heard| {
                    if let Heard::Step2(update) = heard {
                        answer.get_or_insert_with(|| update.to_vec());
                    }
                })
                .await?;
            }
            anyhow::Ok(())
        };
        timeout(OPEN_TIME_MAX, reading)
            .await
            .context("the document did not come in a minute")??;
        Ok(answer.unwrap_or_default())
    }

    /// Waits until something can be read, reads once and hands on what was said; sends meanwhile.
    ///
    /// # Errors
    /// When the connection has ended or the server refuses.
    pub(crate) async fn listen(&mut self, mut take: impl FnMut(Heard<'_>)) -> anyhow::Result<()> {
        poll_fn(|cx| self.poll_listen(cx, &mut take)).await
    }

    /// As [`Bot::listen`].
    pub(crate) fn poll_listen(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(Heard<'_>),
    ) -> Poll<anyhow::Result<()>> {
        let mut end = None;
        let is_open = ready!(self.poll_receive(cx, |heard| match heard {
            Heard::Closed(code) => end = Some(format!("closed with {code}")),
            Heard::Refused(reason) => end = Some(format!("the server refused: {reason}")),
            heard => take(heard),
        }))?;
        if !is_open {
            end.get_or_insert_with(|| "the connection ended".to_owned());
        }
        Poll::Ready(end.map_or(Ok(()), |reason| Err(anyhow::anyhow!(reason))))
    }

    /// Sends what is framed as far as the socket takes it, reads once if there is something, and
    /// hands on what was said.
    /// Returns false at the end of the connection.
    fn poll_receive(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(Heard<'_>),
    ) -> Poll<anyhow::Result<bool>> {
        if self.unsent() > 0 {
            let _ = self.poll_flush(cx)?;
        }
        let Self { stream, frames, room, out, counts, .. } = self;
        let mut take = |frame: Frame<'_>| match frame {
            Frame::Binary(payload) => {
                counts.frames_in += 1;
                match room.read(payload) {
                    Heard::Ping(_) => Room::write_pong(out),
                    heard => take(heard),
                }
            }
            Frame::Ping(payload) => wire::pong(out, payload),
            Frame::Close(code) => take(Heard::Closed(code)),
            Frame::Other => {}
        };
        let mut buffer = READ_BUFFER.take();
        buffer.resize(READ_BYTES, 0);
        let mut filled = ReadBuf::new(&mut buffer);
        let read = Pin::new(stream).poll_read(cx, &mut filled);
        let came = filled.filled();
        let taken = match read {
            Poll::Ready(Ok(())) => {
                counts.bytes_in += came.len() as u64;
                Poll::Ready(frames.take(came, &mut take).map(|()| !came.is_empty()))
            }
            Poll::Ready(Err(reason)) => Poll::Ready(Err(reason.into())),
            Poll::Pending => Poll::Pending,
        };
        READ_BUFFER.set(buffer);
        if taken.is_ready() && self.room.wants_signs_of_life() {
            self.give_sign_of_life();
        }
        if self.unsent() > 0 {
            let _ = self.poll_flush(cx)?;
        }
        taken
    }

    /// Frames one, if the last one is long ago.
    fn give_sign_of_life(&mut self) {
        let now = Instant::now();
        if now - self.alive_at > SIGN_EVERY {
            self.alive_at = now;
            self.room.write_awareness(&[0], &mut self.out);
        }
    }

    /// Sends everything that is framed.
    pub(crate) async fn flush(&mut self) -> anyhow::Result<()> {
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Sends what the socket takes without waiting.
    pub(crate) fn try_flush(&mut self) {
        while self.sent < self.out.len() {
            match self.stream.try_write(&self.out[self.sent..]) {
                Ok(written) => {
                    self.sent += written;
                    self.counts.bytes_out += written as u64;
                }
                Err(_) => return, // full, or broken: the next turn tells
            }
        }
        self.out.clear();
        self.sent = 0;
    }

    /// Sends everything that is framed, as far as the socket takes it.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<anyhow::Result<()>> {
        while self.sent < self.out.len() {
            let writing = Pin::new(&mut self.stream).poll_write(cx, &self.out[self.sent..]);
            let written = ready!(writing).context("the server closed the connection")?;
            self.sent += written;
            self.counts.bytes_out += written as u64;
        }
        self.out.clear();
        self.sent = 0;
        Poll::Ready(Ok(()))
    }
}
