//! A TCP proxy that misbehaves by a seeded plan: it delays, drips, stalls and cuts connections, by
//! closing or by reset. Bytes of one connection keep their order, as TCP promises; those of
//! different connections overtake each other, because each draws its own delays.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What may happen to each chunk that passes. Odds are "one in n"; 0 is never.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Each chunk waits up to this long.
    pub delay_ms_max: u64,
    /// Odds that a chunk is passed on byte by byte.
    pub drip_one_in: u32,
    /// Odds that a direction stops for [`Faults::stall_ms`].
    pub stall_one_in: u32,
    /// How long a stall lasts.
    pub stall_ms: u64,
    /// Odds that a part of the chunk is passed on and the connection cut: half of the cuts reset,
    /// half close.
    pub cut_one_in: u32,
}

/// What has happened so far; a test that means to try faults checks that they occurred.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Occurred {
    /// Connections taken.
    pub connections: u64,
    /// Chunks that waited.
    pub delays: u64,
    /// Chunks passed byte by byte.
    pub drips: u64,
    /// Directions stopped for a while.
    pub stalls: u64,
    /// Connections cut.
    pub cuts: u64,
}

/// A proxy in front of one server. Dropping it cuts everything.
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _accepting: JoinSet<()>,
}

struct Shared {
    target: Mutex<SocketAddr>,
    faults: Mutex<Faults>,
    occurred: Mutex<Occurred>,
    is_open: Mutex<bool>,
    /// Raised to cut all present connections.
    cuts: watch::Sender<u64>,
}

impl Proxy {
    /// Starts in front of `target`, at first without faults.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(target: SocketAddr, seed: u64) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            target: Mutex::new(target),
            faults: Mutex::default(),
            occurred: Mutex::default(),
            is_open: Mutex::new(true),
            cuts: watch::Sender::new(0),
        });
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::clone(&shared), seed));
        Ok(Self { address, shared, _accepting: accepting })
    }

    /// Where clients connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `ws://…` of the proxy, without a room.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// From now on these faults, also on connections that stand.
    pub fn set_faults(&self, faults: Faults) {
        *self.shared.faults.lock() = faults;
    }

    /// Where new connections go.
    pub fn set_target(&self, target: SocketAddr) {
        *self.shared.target.lock() = target;
    }

    /// Lets new connections in.
    pub fn open(&self) {
        *self.shared.is_open.lock() = true;
    }

    /// Cuts all connections and drops new ones until [`Proxy::open`].
    pub fn shut(&self) {
        *self.shared.is_open.lock() = false;
        self.cut();
    }

    /// Cuts all present connections.
    pub fn cut(&self) {
        self.shared.cuts.send_modify(|count| *count += 1);
    }

    /// What has happened so far.
    pub fn occurred(&self) -> Occurred {
        *self.shared.occurred.lock()
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, seed: u64) {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((client, _)) = accepted else { continue };
                if !*shared.is_open.lock() {
                    continue; // dropped at once, as a dead server would
                }
                shared.occurred.lock().connections += 1;
                connections.spawn(connection(client, Arc::clone(&shared), draw.next_u64()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(client: TcpStream, shared: Arc<Shared>, seed: u64) {
    let mut cuts = shared.cuts.subscribe();
    let target = *shared.target.lock();
    let Ok(server) = TcpStream::connect(target).await else { return };
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    for stream in [&client, &server] {
        // Only latency is lost if this fails.
        let _ = stream.set_nodelay(true);
        if draw.random_bool(0.5) {
            // Then dropping it sends a reset instead of a close.
            let _ = stream.set_zero_linger();
        }
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, &shared, draw.next_u64()) => {}
        () = pump(from_server, to_client, &shared, draw.next_u64()) => {}
        _ = cuts.changed() => shared.occurred.lock().cuts += 1,
    }
}

/// Passes one direction on until it ends or is cut.
async fn pump(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, shared: &Shared, seed: u64) {
    let mut draw = ChaCha8Rng::seed_from_u64(seed);
    let mut buffer = vec![0; 16 << 10];
    loop {
        let Ok(len @ 1..) = from.read(&mut buffer).await else { return };
        let faults = *shared.faults.lock();
        let mut happens = |one_in: u32| one_in > 0 && draw.random_ratio(1, one_in);
        let (is_cut, is_drip, is_stall) =
            (happens(faults.cut_one_in), happens(faults.drip_one_in), happens(faults.stall_one_in));
        if faults.delay_ms_max > 0 {
            shared.occurred.lock().delays += 1;
            pause(draw.random_range(0..=faults.delay_ms_max)).await;
        }
        if is_stall {
            shared.occurred.lock().stalls += 1;
            pause(faults.stall_ms).await;
        }
        let passed = if is_cut { draw.random_range(0..len) } else { len };
        let piece_len = if is_drip { 1 } else { passed.max(1) };
        shared.occurred.lock().drips += u64::from(is_drip);
        for piece in buffer[..passed].chunks(piece_len) {
            if to.write_all(piece).await.is_err() {
                return;
            }
        }
        if is_cut {
            shared.occurred.lock().cuts += 1;
            return;
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "delaying bytes is what this proxy is for")]
async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(milliseconds)).await;
}

#[cfg(test)]
mod tests;
