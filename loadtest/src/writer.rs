//! The writer: appends tokens, as many at a time as are allowed to be open, or as often as asked.

use std::time::Duration;

use anyhow::Context;
use sheaf_protocol::frame;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::load::Load;
use crate::token::{NUMBERS_MAX, Token};
use crate::wire::{self, Address, Frame, Receiver};

/// A closed loop that does not move for this long has lost something.
pub(crate) const STUCK_AFTER: Duration = Duration::from_secs(5);
/// Tokens due within one of these go out together; a finer timer would cost the rig more than it
/// tells. Latencies count from when each was due, so lumping is not hidden.
const TICK: Duration = Duration::from_millis(1);

/// Types as `client` until the load's time is over. Returns all that was typed.
pub(crate) async fn run(address: &Address, client: u32, load: &Load) -> anyhow::Result<String> {
    let (mut receiver, mut sender) = wire::connect(address).await.context("the writer")?;
    let mut out = Vec::new();
    wire::binary(&mut out, &[0, 0, 1, 0]);
    wire::binary(&mut out, &[0, 1, 2, 0, 0]);
    sender.send(&out).await?;
    let (mut sent, mut text) = (0, String::new());
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut pongs = Vec::new();
    while !load.is_over() && sent < NUMBERS_MAX {
        let allowed = match load.rate {
            Some(rate) => {
                tick.tick().await;
                due_by_now(load, rate).saturating_sub(sent)
            }
            None => match timeout(STUCK_AFTER, load.take_window()).await {
                Ok(allowed) => allowed,
                Err(_) => break, // the accounts show what is missing
            },
        };
        out.clear();
        out.append(&mut pongs);
        for _ in 0..allowed {
            let due_us = load.rate.map_or_else(|| load.now_us(), |rate| due_at(sent, rate));
            let token = Token { number: sent, due_us };
            let mut message = Vec::with_capacity(64);
            frame::write_update(&mut message, &token.update(client));
            wire::binary(&mut out, &message);
            text.push_str(&token.text());
            load.sent();
            sent += 1;
        }
        if !out.is_empty() {
            send(&mut sender, &mut receiver, &out, &mut pongs).await?;
        }
    }
    // Going now would reset the connection, with what is under way on it.
    tokio::select! {
        () = settle(load) => Ok(text),
        closed = drain(&mut receiver, &mut pongs) => anyhow::bail!("{closed}"),
    }
}

/// Waits until everything has arrived, or nothing more arrives.
async fn settle(load: &Load) {
    let (mut look, mut before, mut quiet_since) =
        (interval(Duration::from_millis(5)), load.deliveries(), Instant::now());
    while !load.is_settled() && quiet_since.elapsed() < STUCK_AFTER {
        look.tick().await;
        if load.deliveries() != before {
            (before, quiet_since) = (load.deliveries(), Instant::now());
        }
    }
}

/// Sends while reading: echoes and keep-alives that nobody reads would stop the server.
async fn send(
    sender: &mut wire::Sender,
    receiver: &mut Receiver,
    out: &[u8],
    pongs: &mut Vec<u8>,
) -> anyhow::Result<()> {
    tokio::select! {
        // Reads first what is there already.
        biased;
        closed = drain(receiver, pongs) => anyhow::bail!("{closed}"),
        sent = sender.send(out) => sent,
    }
}

/// Reads until the connection ends, and tells how it did.
async fn drain(receiver: &mut Receiver, pongs: &mut Vec<u8>) -> String {
    let mut closed = None;
    loop {
        let take = |frame: Frame<'_>| match frame {
            Frame::Ping(payload) => wire::pong(pongs, payload),
            Frame::Close(code) => closed = Some(code),
            _ => {}
        };
        if !matches!(receiver.receive(take).await, Ok(true)) {
            return closed.map_or("the writer's connection broke".to_owned(), |code| {
                format!("the server closed the writer's connection with {code}")
            });
        }
    }
}

/// The first is due at once.
fn due_by_now(load: &Load, rate: f64) -> u32 {
    (f64::from(load.now_us()) * rate / 1e6) as u32 + 1
}

fn due_at(number: u32, rate: f64) -> u32 {
    (f64::from(number) * 1e6 / rate) as u32
}
