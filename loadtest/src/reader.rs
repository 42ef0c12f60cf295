//! A light reader: a socket, and the account of what came.

use std::cell::RefCell;
use std::rc::Rc;

use hdrhistogram::Histogram;
use sheaf_protocol::frame::{self, Message};
use tokio::sync::oneshot;

use crate::latency;
use crate::load::Load;
use crate::token::Token;
use crate::wire::{self, Address, Frame};

/// What came to one reader.
pub(crate) struct Account {
    /// Microseconds from due to here, of the measured part.
    pub(crate) latencies_us: Histogram<u64>,
    /// Which tokens came, by number.
    seen: Vec<u64>,
    /// How many different ones.
    pub(crate) received: u32,
    /// How many came again.
    pub(crate) repeated: u32,
    /// Frames with at least one.
    pub(crate) frames: u64,
    /// Updates as they came, if this reader's document is to be rebuilt.
    pub(crate) updates: Option<Vec<Vec<u8>>>,
    /// Why it ended early.
    pub(crate) failure: Option<String>,
}

impl Account {
    pub(crate) fn new(is_kept: bool) -> Self {
        Self {
            latencies_us: latency::histogram(),
            seen: Vec::new(),
            received: 0,
            repeated: 0,
            frames: 0,
            updates: is_kept.then(Vec::new),
            failure: None,
        }
    }

    /// Enters a token. Returns whether it is new.
    fn enter(&mut self, token: Token) -> bool {
        let (word, bit) = (token.number as usize / 64, 1_u64 << (token.number % 64));
        if self.seen.len() <= word {
            self.seen.resize(word + 1, 0);
        }
        let is_new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        self.received += u32::from(is_new);
        self.repeated += u32::from(!is_new);
        is_new
    }

    /// Takes in one message from the server.
    fn take(&mut self, bytes: &[u8], load: &Load) {
        let Some(Ok(Message::Update(update) | Message::Step2(update))) =
            frame::messages(bytes).next()
        else {
            return;
        };
        let now_us = load.now_us();
        let mut has_token = false;
        for token in Token::find(update) {
            has_token = true;
            if self.enter(token) {
                if load.is_measured(token.due_us) {
                    let latency = u64::from(now_us.saturating_sub(token.due_us));
                    self.latencies_us.saturating_record(latency);
                }
                load.delivered(token);
            }
        }
        self.frames += u64::from(has_token);
        if let Some(updates) = &mut self.updates {
            updates.push(update.to_vec());
        }
    }
}

/// Connects, tells `ready`, and reads until the connection ends or the task is dropped.
pub(crate) async fn run(
    address: Rc<Address>,
    account: Rc<RefCell<Account>>,
    load: Rc<Load>,
    ready: oneshot::Sender<()>,
) {
    if let Err(reason) = read(&address, &account, &load, ready).await {
        account.borrow_mut().failure = Some(format!("{reason:#}"));
    }
}

async fn read(
    address: &Address,
    account: &RefCell<Account>,
    load: &Load,
    ready: oneshot::Sender<()>,
) -> anyhow::Result<()> {
    let (mut receiver, mut sender) = wire::connect(address).await?;
    let mut out = Vec::new();
    wire::binary(&mut out, &[0, 0, 1, 0]); // what do you hold?
    wire::binary(&mut out, &[0, 1, 2, 0, 0]); // I hold nothing
    sender.send(&out).await?;
    let mut ready = Some(ready);
    loop {
        out.clear();
        let mut closed = None;
        let is_open = receiver
            .receive(|frame| match frame {
                Frame::Binary(bytes) => {
                    if bytes.starts_with(&[0, 1])
                        && let Some(ready) = ready.take()
                    {
                        let _ = ready.send(()); // nobody waits if the run was given up
                    }
                    account.borrow_mut().take(bytes, load);
                }
                Frame::Ping(payload) => wire::pong(&mut out, payload),
                Frame::Close(code) => closed = Some(code),
                Frame::Other => {}
            })
            .await?;
        if let Some(code) = closed {
            anyhow::bail!("closed with {code}");
        }
        if !is_open {
            anyhow::bail!("the connection ended");
        }
        if !out.is_empty() {
            sender.send(&out).await?;
        }
    }
}
