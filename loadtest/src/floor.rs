//! The rig's own relay, the floor that servers are compared with: it hands every frame to the
//! others in the same room and does nothing else. No CRDT, no disk, no check of what it relays.
//!
//! It is as quick as a plain tokio-tungstenite server gets: one thread, a queue a connection, and
//! everything that waits for a socket in one write. It answers a SyncStep1 with the first update
//! that its room got while nobody else was in it, remembered as it came (a document that a scenario
//! puts there before its clients join), and with the empty update if there was none. Run by the
//! subcommand `floor` and by `--floor`.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use anyhow::Context as _;
use clap::Args;
use futures::{Sink, Stream};
use sheaf_protocol::frame::{self, Message};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::protocol::{Message as Frame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error};

/// Five hundred clients that come at once fit; with the usual 128 some wait a second for a retry.
const BACKLOG: u32 = 4_096;
/// tungstenite fills its whole read buffer with zeroes before each read: 128 KiB, its default, cost
/// more than everything else.
const READ_BYTES: usize = 4 << 10;
/// A reader this far behind is cut off. A relay without documents has nothing else to offer it.
const QUEUE_BYTES_MAX: usize = 1 << 30;
const EMPTY_UPDATE: &[u8] = &[0, 0];

/// The rig's own relay, as a server: what all others are compared with.
///
/// Hands every frame to the others in the same room: no CRDT, no disk, no checks. Prints its
/// address and runs until it is ended.
#[derive(Debug, Clone, Args)]
pub(crate) struct Plan {
    /// Where to listen; port 0 is any free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) faults: Faults,
}

/// What the relay does wrong on purpose, to see that the rig notices.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(crate) struct Faults {
    /// Drop one update in so many, on purpose: the rig must notice. 0 is none.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub(crate) lose_every: u64,
    /// Relay one update in so many after its successor: the rig must notice. 0 is none.
    #[arg(long, default_value_t = 0, value_name = "COUNT")]
    pub(crate) swap_every: u64,
}

/// The relay, listening.
pub(crate) struct Floor {
    listener: TcpListener,
    faults: Faults,
}

impl Floor {
    /// Listens; port 0 is any free one.
    pub(crate) fn bind(plan: &Plan) -> anyhow::Result<Self> {
        let address = plan.listen;
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address).with_context(|| format!("listening on {address}"))?;
        Ok(Self { listener: socket.listen(BACKLOG)?, faults: plan.faults })
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.listener.local_addr()?)
    }

    /// Relays until it is dropped. Needs a `LocalSet`.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let rooms = Rc::new(RefCell::new(HashMap::new()));
        let mut sessions = JoinSet::new();
        loop {
            tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        sessions.spawn_local(serve(stream, Rc::clone(&rooms), self.faults));
                    }
                    // Out of files, or the client left again. The next one may fare better.
                    Err(_) => tokio::task::yield_now().await,
                },
                Some(_) = sessions.join_next() => {}
            }
        }
    }
}

/// Rooms by path. None is ever forgotten: the relay lives for one run.
type Rooms = RefCell<HashMap<String, Rc<Room>>>;

#[derive(Default)]
struct Room {
    queues: RefCell<Vec<Rc<Queue>>>,
    /// The answer to a SyncStep1, as a whole message, once there is a seed.
    answer: RefCell<Option<Bytes>>,
    /// Whether an update came: the seed is the first one or none.
    is_touched: Cell<bool>,
    faults: Faults,
    /// Updates so far.
    relayed: Cell<u64>,
    /// Waits for its successor.
    held: RefCell<Option<Bytes>>,
}

/// What waits for a connection.
#[derive(Default)]
struct Queue {
    frames: RefCell<VecDeque<Bytes>>,
    bytes: Cell<usize>,
    /// Set while its task sleeps with nothing to send.
    waker: RefCell<Option<Waker>>,
    is_cut_off: Cell<bool>,
}

impl Queue {
    fn push(&self, frame: Bytes) {
        let bytes = self.bytes.get() + frame.len();
        self.bytes.set(bytes);
        self.is_cut_off.set(bytes > QUEUE_BYTES_MAX);
        self.frames.borrow_mut().push_back(frame);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

impl Room {
    /// Takes in a message from one of its connections.
    fn take(&self, from: &Rc<Queue>, message: &Bytes) {
        match frame::messages(message).next() {
            Some(Ok(Message::Step1(_))) => {
                let answer = self.answer.borrow().clone();
                from.push(answer.unwrap_or_else(|| Bytes::from_static(&[0, 1, 2, 0, 0])));
            }
            Some(Ok(Message::Step2(update))) => {
                self.remember(update);
                if update != EMPTY_UPDATE {
                    self.relay(from, message);
                }
            }
            Some(Ok(Message::Update(update))) => {
                self.remember(update);
                if self.is_passed_on(message) {
                    self.relay(from, message);
                    if let Some(held) = self.held.take() {
                        self.relay(from, &held);
                    }
                }
            }
            Some(Ok(Message::Awareness(_))) => self.relay(from, message),
            _ => {}
        }
    }

    fn relay(&self, from: &Rc<Queue>, message: &Bytes) {
        for queue in self.queues.borrow().iter() {
            if !Rc::ptr_eq(queue, from) {
                queue.push(message.clone());
            }
        }
    }

    /// Counts an update; whether it is to be relayed now.
    fn is_passed_on(&self, message: &Bytes) -> bool {
        let Faults { lose_every, swap_every } = self.faults;
        let number = self.relayed.get() + 1;
        self.relayed.set(number);
        let is_one_in = |count: u64| count > 0 && number.is_multiple_of(count);
        if is_one_in(swap_every) {
            self.held.replace(Some(message.clone()));
        }
        !is_one_in(swap_every) && !is_one_in(lose_every)
    }

    fn remember(&self, update: &[u8]) {
        if self.is_touched.get() || update == EMPTY_UPDATE {
            return;
        }
        self.is_touched.set(true);
        if self.queues.borrow().len() == 1 {
            let mut answer = Vec::with_capacity(update.len() + 8);
            frame::write_step2(&mut answer, update);
            self.answer.replace(Some(answer.into()));
        }
    }
}

/// Upgrades a connection and relays until it ends.
async fn serve(stream: TcpStream, rooms: Rc<Rooms>, faults: Faults) {
    if stream.set_nodelay(true).is_err() {
        return; // gone already
    }
    let mut path = String::new();
    #[allow(clippy::result_large_err)] // the type is tungstenite's
    let read_path = |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        request.uri().path().clone_into(&mut path);
        Ok(response)
    };
    let config = WebSocketConfig::default().read_buffer_size(READ_BYTES);
    let accepted = tokio_tungstenite::accept_hdr_async_with_config(stream, read_path, Some(config));
    let Ok(socket) = accepted.await else { return };
    let new = || Rc::new(Room { faults, ..Room::default() });
    let room = Rc::clone(rooms.borrow_mut().entry(path).or_insert_with(new));
    let queue = Rc::new(Queue::default());
    room.queues.borrow_mut().push(Rc::clone(&queue));
    let (spare, is_flushing) = (VecDeque::new(), false);
    let (its_room, its_queue) = (Rc::clone(&room), Rc::clone(&queue));
    Session { socket, room: its_room, queue: its_queue, spare, is_flushing }.await;
    room.queues.borrow_mut().retain(|other| !Rc::ptr_eq(other, &queue));
}

/// One connection: a future that ends with it.
struct Session {
    socket: WebSocketStream<TcpStream>,
    room: Rc<Room>,
    queue: Rc<Queue>,
    /// Changes places with the queue, so that neither is allocated again.
    spare: VecDeque<Bytes>,
    is_flushing: bool,
}

impl Future for Session {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let session = &mut *self;
        let is_open = session.read(cx);
        if !is_open || session.write(cx).is_err() || session.queue.is_cut_off.get() {
            return Poll::Ready(());
        }
        Poll::Pending
    }
}

impl Session {
    /// Takes in everything there is. Returns false at the end of the connection.
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        loop {
            match Pin::new(&mut self.socket).poll_next(cx) {
                Poll::Ready(Some(Ok(Frame::Binary(message)))) => {
                    self.room.take(&self.queue, &message);
                }
                Poll::Ready(Some(Ok(_))) => {} // pings answer themselves
                Poll::Ready(Some(Err(_)) | None) => return false,
                Poll::Pending => return true,
            }
        }
    }

    /// Sends everything that waits with one write, as far as the socket takes it.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), Error> {
        let mut socket = Pin::new(&mut self.socket);
        loop {
            if self.is_flushing {
                match socket.as_mut().poll_flush(cx)? {
                    Poll::Ready(()) => self.is_flushing = false,
                    Poll::Pending => return Ok(()),
                }
            }
            std::mem::swap(&mut self.spare, &mut *self.queue.frames.borrow_mut());
            if self.spare.is_empty() {
                self.queue.waker.replace(Some(cx.waker().clone()));
                return Ok(());
            }
            self.queue.bytes.set(0);
            for frame in self.spare.drain(..) {
                socket.as_mut().start_send(Frame::Binary(frame))?;
            }
            self.is_flushing = true;
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
