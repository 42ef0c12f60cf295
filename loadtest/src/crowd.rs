//! Connections that do nothing: idle measures what they cost, flows are measured beside them.

use std::future::poll_fn;
use std::net::Ipv4Addr;
use std::task::Poll;

use clap::Args;
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;

use crate::bot::dialect::Room;
use crate::bot::{self, Bot, Joined};
use crate::target::Target;

/// An address has 28,000 ports for one server, some of which are taken by the load itself.
const PER_ADDRESS: u32 = 2_500;

/// Connections that do nothing.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crowd {
    pub(crate) connections: u32,
    /// Documents they are spread over.
    pub(crate) documents: u32,
    /// Loopback addresses that they come from.
    pub(crate) addresses: u32,
    pub(crate) at_once: usize,
}

/// What a server holds beside a load.
#[derive(Debug, Clone, Copy, Default, Args, Serialize)]
pub(crate) struct Beside {
    /// Documents that are open beside the load, each by a connection of its own that does nothing;
    /// an address of loopback for every 2,500 of them.
    #[arg(long, default_value_t = 0, value_name = "DOCUMENTS")]
    pub(crate) beside: u32,
}

impl Crowd {
    /// Opens them all, each with the answer of its document.
    pub(crate) async fn open(&self, target: &Target, name: &str) -> anyhow::Result<Vec<Joined>> {
        // What it may not be raised to, connecting will tell.
        let _ = rlimit::increase_nofile_limit(u64::MAX);
        let opening = stream::iter(0..self.connections).map(|number| {
            let room = Room::new(target, &format!("{name}-{}", number % self.documents));
            async move { bot::join(bot::connect_when_let(room?.from(self.source(number)))).await }
        });
        opening.buffered(self.at_once).try_collect().await
    }

    fn source(&self, number: u32) -> Option<Ipv4Addr> {
        let next = number % self.addresses;
        (self.addresses > 1).then(|| Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + next))
    }
}

impl Beside {
    /// Opens all of it.
    pub(crate) async fn open(self, target: &Target) -> anyhow::Result<Vec<Joined>> {
        let crowd = Crowd {
            connections: self.beside,
            documents: self.beside,
            addresses: self.beside.div_ceil(PER_ADDRESS),
            at_once: bot::OPENED_AT_ONCE,
        };
        crowd.open(target, &bot::fresh_name()).await
    }

    /// For a load's line; nothing if nothing is beside it.
    pub(crate) fn note(self) -> String {
        match self.beside {
            0 => String::new(),
            count => format!(", beside {count} documents"),
        }
    }
}

/// How many connections are open, after all that was said meanwhile is read.
pub(crate) async fn alive(bots: &mut [Bot]) -> u32 {
    let mut alive = 0;
    for bot in bots {
        let mut is_open = true;
        poll_fn(|cx| {
            while let Poll::Ready(read) = bot.poll_listen(cx, |_| {}) {
                if read.is_err() {
                    is_open = false;
                    break;
                }
            }
            Poll::Ready(())
        })
        .await;
        alive += u32::from(is_open);
    }
    alive
}

#[cfg(test)]
mod tests;
