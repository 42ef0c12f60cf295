//! A writer: types tokens between the tokens that are there, erases one now and then, and asks from
//! time to time whether all of it is durable.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use sheaf_client::backoff::Backoff;
use sheaf_client::replica::{Arrival, Hook, Options, Replica, Status};
use sheaf_tests::seed;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

use super::ledger::{Ledger, TOKEN_UNITS, token};

/// Between two keystrokes: 250 a second from each writer, faster than anyone types.
const PACE: Duration = Duration::from_millis(4);

pub(super) struct Writer {
    number: u32,
    replica: Arc<Replica>,
    ledger: Arc<Mutex<Ledger>>,
    is_writing: watch::Sender<bool>,
    task: JoinSet<()>,
}

/// The document of two writers.
pub(super) fn room(document: u32) -> String {
    format!("kill loop/{document}")
}

impl Writer {
    pub(super) fn start(number: u32, url: &str, seed: u64) -> Self {
        let ledger = Arc::new(Mutex::new(Ledger::default()));
        let books = Arc::clone(&ledger);
        let on_update: Hook = Arc::new(move |arrival, update| {
            let mut books = books.lock();
            books.delivered.push(update.to_vec());
            books.delivered_count += usize::from(arrival == Arrival::Update);
        });
        let replica = Arc::new(Replica::connect(Options {
            client_id: 1_000 + number,
            // Back at once: a run should be spent writing.
            backoff: Backoff { first: Duration::from_millis(5), cap: Duration::from_millis(20) },
            on_update: Some(on_update),
            ..Options::new(url, room(number / 2))
        }));
        let (is_writing, writing) = watch::channel(true);
        let mut task = JoinSet::new();
        let draw = seed::generator(seed.wrapping_add(u64::from(number) + 1));
        task.spawn(write(number, Arc::clone(&replica), Arc::clone(&ledger), writing, draw));
        Self { number, replica, ledger, is_writing, task }
    }

    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn document(&self) -> u32 {
        self.number / 2
    }

    pub(super) fn replica(&self) -> &Replica {
        &self.replica
    }

    pub(super) fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock()
    }

    /// Waits until nothing more can arrive: the connection is seen to be gone.
    pub(super) async fn cut_off(&self, within: Duration) {
        let is_cut = |replica: &Replica| *replica.status().borrow() == Status::Connecting;
        self.replica.wait(is_cut, within).await.expect("a dead server's connection ends");
    }

    /// Stops writing and waits until all of it is durable.
    pub(super) async fn stop(&mut self, within: Duration) {
        self.is_writing.send_replace(false);
        while let Some(ended) = self.task.join_next().await {
            ended.expect("the writer does not panic");
        }
        self.replica.durable(within).await.expect("everything becomes durable");
        let mut ledger = self.ledger.lock();
        ledger.acknowledged_live = ledger.acknowledged;
        ledger.acknowledged = ledger.written;
        ledger.erasures_acknowledged = ledger.erased.len();
    }
}

async fn write(
    number: u32,
    replica: Arc<Replica>,
    ledger: Arc<Mutex<Ledger>>,
    mut writing: watch::Receiver<bool>,
    mut draw: ChaCha8Rng,
) {
    let mut pace = interval(PACE);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while *writing.borrow() {
        match draw.random_range(0..100) {
            0..85 => insert(number, &replica, &ledger, &mut draw),
            85..90 => erase(number, &replica, &ledger, &mut draw),
            _ => tokio::select! {
                () = acknowledge(&replica, &ledger) => {}
                _ = writing.changed() => {}
            },
        }
        pace.tick().await;
    }
}

/// Books first: a token may be found elsewhere before the edit returns.
fn insert(number: u32, replica: &Replica, ledger: &Mutex<Ledger>, draw: &mut ChaCha8Rng) {
    let written = {
        let mut ledger = ledger.lock();
        ledger.written += 1;
        ledger.written - 1
    };
    replica.edit(|txn, text| {
        use yrs::Text;
        let places = text.len(txn) / TOKEN_UNITS;
        text.insert(txn, draw.random_range(0..=places) * TOKEN_UNITS, &token(number, written));
    });
}

fn erase(number: u32, replica: &Replica, ledger: &Mutex<Ledger>, draw: &mut ChaCha8Rng) {
    let erased = {
        let ledger = ledger.lock();
        (ledger.written > 0).then(|| draw.random_range(0..ledger.written))
    };
    let Some(erased) = erased.filter(|erased| !ledger.lock().erased.contains(erased)) else {
        return;
    };
    ledger.lock().erased.push(erased);
    let is_erased = replica.edit(|txn, text| {
        use yrs::{GetString, Text};
        let at = text.get_string(txn).find(&token(number, erased));
        at.inspect(|at| text.remove_range(txn, *at as u32, TOKEN_UNITS)).is_some()
    });
    assert!(is_erased, "a writer has its own tokens");
}

/// Asks for the echo and books what it proves.
async fn acknowledge(replica: &Replica, ledger: &Mutex<Ledger>) {
    let (written, erased) = {
        let ledger = ledger.lock();
        (ledger.written, ledger.erased.len())
    };
    if replica.durable(super::SOON).await.is_ok() {
        let mut ledger = ledger.lock();
        ledger.acknowledged = written;
        ledger.erasures_acknowledged = erased;
    }
}
