//! One accepted connection, whatever carries it: TCP, a unix socket, TLS over either.
//!
//! Made by `listen`, lent to hyper for the request, then owned by a session, which polls it by
//! shared reference because publishers write to it too. On TCP each call is the socket's own,
//! behind one match. Never holds more than TLS's own bounded buffers and never blocks.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use parking_lot::Mutex;
use rustls::ServerConnection;
use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connection. Dropping one that speaks TLS says so to the peer (`close_notify`).
#[derive(Debug)]
pub enum Stream {
    /// TCP.
    Tcp(TcpStream),
    /// A unix socket.
    Unix(UnixStream),
    /// TLS, after its handshake.
    Tls(Box<Tls>),
}

/// A socket and the state of its TLS session.
///
/// Reader and writers share that state, so each call takes the lock for as long as it encrypts,
/// decrypts and makes its one system call; nobody waits for the network under it.
#[derive(Debug)]
pub struct Tls {
    /// Never TLS itself.
    socket: Stream,
    connection: Mutex<ServerConnection>,
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Stream {
        Stream::Tcp(stream)
    }
}

impl From<UnixStream> for Stream {
    fn from(stream: UnixStream) -> Stream {
        Stream::Unix(stream)
    }
}

impl Stream {
    /// Speaks TLS over `socket`, the handshake being done.
    #[must_use]
    pub fn tls(socket: Stream, connection: ServerConnection) -> Stream {
        Stream::Tls(Box::new(Tls { socket, connection: Mutex::new(connection) }))
    }

    /// Reads what is there. 0: the peer has ended its side.
    ///
    /// # Errors
    /// `WouldBlock` when nothing is there: then [`Stream::poll_read_ready`] waits.
    #[inline]
    pub fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => receive(&SockRef::from(socket), into, |receive| {
                socket.try_io(Interest::READABLE, receive)
            }),
            Stream::Unix(socket) => receive(&SockRef::from(socket), into, |receive| {
                socket.try_io(Interest::READABLE, receive)
            }),
            Stream::Tls(tls) => tls.try_read(into),
        }
    }

    /// Writes what fits. What TLS took may still wait here: see [`Stream::poll_flush`].
    ///
    /// # Errors
    /// `WouldBlock` when nothing fits: then [`Stream::poll_write_ready`] waits.
    #[inline]
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => socket.try_write(bytes),
            Stream::Unix(socket) => socket.try_write(bytes),
            Stream::Tls(tls) => tls.try_write(bytes),
        }
    }

    /// Waits until [`Stream::try_read`], which has just found nothing, is worth another call.
    ///
    /// # Errors
    /// The socket is gone.
    #[inline]
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(socket) => socket.poll_read_ready(cx),
            Stream::Unix(socket) => socket.poll_read_ready(cx),
            Stream::Tls(tls) => tls.socket.poll_read_ready(cx),
        }
    }

    /// Waits until [`Stream::try_write`], which has just taken nothing, is worth another call.
    ///
    /// # Errors
    /// The socket is gone.
    #[inline]
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(socket) => socket.poll_write_ready(cx),
            Stream::Unix(socket) => socket.poll_write_ready(cx),
            Stream::Tls(tls) => tls.socket.poll_write_ready(cx),
        }
    }

    /// Waits until the socket has everything that was taken: at once but for TLS.
    ///
    /// # Errors
    /// The socket is gone.
    #[inline]
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => Poll::Ready(Ok(())),
            Stream::Tls(tls) => tls.poll_flush(cx),
        }
    }

    /// Whether something that was taken waits for the socket: never but with TLS.
    #[inline]
    #[must_use]
    pub fn has_unflushed(&self) -> bool {
        match self {
            Stream::Tcp(_) | Stream::Unix(_) => false,
            Stream::Tls(tls) => tls.connection.lock().wants_write(),
        }
    }

    /// Whether several pieces can be written in one call: not with TLS, which copies them.
    #[must_use]
    pub fn is_vectored(&self) -> bool {
        !matches!(self, Stream::Tls(_))
    }

    /// As [`Stream::try_write`], several pieces in one call.
    ///
    /// # Errors
    /// `WouldBlock`; `Unsupported` for TLS.
    pub fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Stream::Tcp(socket) => socket.try_write_vectored(parts),
            Stream::Unix(socket) => socket.try_write_vectored(parts),
            Stream::Tls(_) => Err(ErrorKind::Unsupported.into()),
        }
    }
}

/// One `recv`. One that leaves room has emptied the socket, so its readiness is taken back here and
/// now: the call that would only find that out costs as much as one that brings something.
fn receive(
    socket: &SockRef<'_>,
    into: &mut [u8],
    try_io: impl FnOnce(&mut dyn FnMut() -> io::Result<()>) -> io::Result<()>,
) -> io::Result<usize> {
    let mut got = None;
    let tried = try_io(&mut || {
        let read = (&**socket).read(into)?;
        got = Some(read);
        if (1..into.len()).contains(&read) { Err(ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match got {
        Some(read) => Ok(read),
        None => tried.map(|()| 0),
    }
}

impl Tls {
    fn try_read(&self, into: &mut [u8]) -> io::Result<usize> {
        let mut connection = self.connection.lock();
        loop {
            match connection.reader().read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                // Cut off without a goodbye: what a frame says of its length tells as much.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
            connection.read_tls(&mut Raw(&self.socket))?;
            let processed = connection.process_new_packets();
            // An alert, or an answer to a change of keys. What does not fit goes before the next
            // write.
            let flushed = self.flush(&mut connection);
            processed.map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
            match flushed {
                Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error),
                _ => {}
            }
        }
    }

    fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut connection = self.connection.lock();
        self.flush(&mut connection)?;
        let taken = connection.writer().write(bytes)?;
        match self.flush(&mut connection) {
            Err(error) if error.kind() != ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        }
    }

    fn flush(&self, connection: &mut ServerConnection) -> io::Result<()> {
        while connection.wants_write() {
            connection.write_tls(&mut Raw(&self.socket))?;
        }
        Ok(())
    }

    fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut connection = self.connection.lock();
        loop {
            match self.flush(&mut connection) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(self.socket.poll_write_ready(cx))?;
                }
                flushed => return Poll::Ready(flushed),
            }
        }
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        let connection = self.connection.get_mut();
        connection.send_close_notify();
        // Once, as far as it fits: a peer that does not read needs no goodbye.
        let _ = connection.write_tls(&mut Raw(&self.socket));
    }
}

/// The socket as TLS wants to see it.
struct Raw<'a>(&'a Stream);

impl Read for Raw<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(into)
    }
}

impl Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_write_vectored(parts)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let tls = match self.get_mut() {
            Stream::Tcp(socket) => return Pin::new(socket).poll_read(cx, into),
            Stream::Unix(socket) => return Pin::new(socket).poll_read(cx, into),
            Stream::Tls(tls) => tls,
        };
        loop {
            match tls.try_read(into.initialize_unfilled()) {
                Ok(read) => {
                    into.advance(read);
                    return Poll::Ready(Ok(()));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(tls.socket.poll_read_ready(cx))?;
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let tls = match self.get_mut() {
            Stream::Tcp(socket) => return Pin::new(socket).poll_write(cx, bytes),
            Stream::Unix(socket) => return Pin::new(socket).poll_write(cx, bytes),
            Stream::Tls(tls) => tls,
        };
        loop {
            match tls.try_write(bytes) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    ready!(tls.socket.poll_write_ready(cx))?;
                }
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Stream::poll_flush(&self, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Stream::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Stream::Tls(tls) => {
                tls.connection.get_mut().send_close_notify();
                ready!(tls.poll_flush(cx))?;
                Pin::new(&mut tls.socket).poll_shutdown(cx)
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
            Stream::Unix(socket) => Pin::new(socket).poll_write_vectored(cx, parts),
            stream @ Stream::Tls(_) => {
                let first = parts.iter().find(|part| !part.is_empty());
                Pin::new(stream).poll_write(cx, first.map_or(&[][..], |part| part))
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.is_vectored()
    }
}

#[cfg(test)]
mod tests;
