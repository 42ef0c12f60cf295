//! The whole server: every part built from its own configuration, started and stopped in order.
//!
//! Called by `cli` and by tests, which run it inside their own process on port 0. The only module
//! that knows all others. Never does a part's work: what is decided here is order.

pub mod core;
mod cors;
mod front;
mod kept;
mod reload;
pub mod telemetry;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;

use self::core::Core;
pub use self::kept::Kept;
use crate::auth::{self, Auth};
use crate::config::{self, Config, data};
use crate::crypto;
use crate::http;
use crate::http::status::About;
use crate::metrics::Metrics;
use crate::relay::address::Place;
use crate::relay::listen::{self, Door, Kind, Listener, Openness};
use crate::relay::tls::{self, Tls};
use crate::relay::upgrade::Upgrade;
use crate::webhook::{self, config::Hook};
use sheaf_ground::task::{self, Group, Shutdown};
use sheaf_ground::time::{Clock, Seed};

/// What comes from outside besides the configuration.
#[derive(Clone, Debug)]
pub struct Ambient {
    /// The time.
    pub clock: Clock,
    /// The randomness.
    pub seed: Seed,
}

impl Ambient {
    /// The machine's own.
    #[must_use]
    pub fn system() -> Ambient {
        Ambient { clock: Clock::system(), seed: Seed::fresh() }
    }
}

/// Why the server did not start. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] config::Error),
    /// It would be open to those it should not be open to.
    #[error(transparent)]
    Auth(#[from] auth::Error),
    /// Telemetry cannot be.
    #[error(transparent)]
    Telemetry(#[from] telemetry::Error),
    /// What is kept cannot be opened.
    #[error(transparent)]
    Kept(#[from] core::Error),
    /// A webhook cannot be.
    #[error(transparent)]
    Hook(#[from] webhook::config::Error),
    /// Webhooks cannot start.
    #[error(transparent)]
    Webhooks(#[from] webhook::Error),
    /// It cannot listen.
    #[error(transparent)]
    Listen(#[from] listen::Error),
    /// It cannot speak TLS.
    #[error(transparent)]
    Tls(#[from] tls::Error),
}

/// A running server. Dropped without [`App::stop`] it stops accepting and its tasks are told to
/// end, but nobody waits for them.
#[derive(Debug)]
pub struct App {
    doors: Vec<Door>,
    tls: Option<Arc<Tls>>,
    addresses: Vec<SocketAddr>,
    auth: Auth,
    config: ArcSwap<Config>,
    metrics: Arc<Metrics>,
    clock: Clock,
    /// Accept loops, connections and upgrades: the way in.
    edges: Group,
    core: Arc<Core>,
    stop_time_max: Duration,
}

/// How a stop went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Everything was sent, synced and closed.
    Complete,
    /// The time was up; what was acknowledged is durable all the same.
    Late,
}

impl App {
    /// Starts everything and returns when the server accepts connections.
    ///
    /// The order: refuse what must not start, take the addresses, prepare the data directory, open
    /// what is kept there, and only then accept.
    ///
    /// # Errors
    /// See [`Error`]; nothing is left running.
    #[expect(clippy::unused_async, reason = "it must run inside the runtime, and will wait")]
    pub async fn start(config: Config, ambient: Ambient) -> Result<App, Error> {
        let Ambient { clock, seed } = ambient;
        crypto::choose();
        let hooks = Hook::all(&config.webhooks)?;
        let metrics = Arc::new(Metrics::new());
        let auth = Auth::new(&config.auth(), &clock)?;
        let load = |files| Tls::load(files, clock.clone(), Arc::clone(&metrics));
        let tls = config.tls.as_ref().map(load).transpose()?.map(Arc::new);
        let listener = bind(&config, &auth, tls.clone())?;
        let data_dir = config.data_dir()?;
        data::prepare(&data_dir)?;
        auth.load_ticket_key(&data_dir)?;
        let mut core = task::block(|| Core::open(&data_dir, &config, &clock, &seed, &metrics))?;
        task::block(|| core.start_webhooks(hooks, auth.events(), seed))?;
        let core = Arc::new(core);

        let edges = Group::new(metrics.task_panics.clone());
        let accept = {
            let core = Arc::clone(&core);
            move |opened| core.accept(opened)
        };
        let hocuspocus = config.hocuspocus_paths.clone();
        let upgrade = Upgrade::new(Arc::new(accept), edges.clone(), hocuspocus);
        let about = About::new(&clock, &data_dir, config.limits.documents_bytes_max);
        let state = http::State {
            metrics: Arc::clone(&metrics),
            health: Arc::clone(&core) as _,
            vaults: core.vaults.clone(),
            blobs: core.blobs.clone(),
            auth: auth.clone(),
            about: Arc::new(about),
            clock: clock.clone(),
            tasks: edges.clone(),
            is_admin_elsewhere: config.admin_elsewhere().is_some(),
            memory: core.memory(),
            limits: core::announced(&config),
            public_url: config.public_url.clone(),
        };
        let routes = front::Routes::new(&state, config.admin_listen.is_some());
        let service = front::service(auth.clone(), upgrade, Arc::clone(&metrics), routes);
        let doors = listener.doors();
        let addresses = doors.iter().filter_map(public).collect();
        listener.serve(service, clock.clone(), Arc::clone(&metrics), &edges);
        let stop_time_max = Duration::from_secs(config.limits.stop_timeout_s);
        let config = ArcSwap::from_pointee(config);
        Ok(App { doors, tls, addresses, auth, config, metrics, clock, edges, core, stop_time_max })
    }

    /// Everything it listens on.
    #[must_use]
    pub fn doors(&self) -> &[Door] {
        &self.doors
    }

    /// The public TCP addresses it listens on, with the ports it got.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Whether anyone who can connect may write.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.auth.is_open()
    }

    /// Its metrics, for tests that wait for one.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Stops in order: accept nothing more, let sessions drain and close them with 1012, sync.
    pub async fn stop(self) -> Stopped {
        self.edges.stop();
        let by = self.clock.now() + self.stop_time_max;
        let drained = self.core.drain(&self.clock, self.stop_time_max).await;
        // Idle connections have gone at once; what still answers a request gets what is left.
        let left = by.since(self.clock.now());
        let answered = self.edges.shutdown(&self.clock, left).await;
        task::block(|| self.core.close());
        match (drained, answered) {
            (Shutdown::Complete, Shutdown::Complete) => Stopped::Complete,
            (Shutdown::Left(sessions), _) => {
                tracing::warn!(sessions, "sessions did not end in time");
                Stopped::Late
            }
            (_, Shutdown::Left(connections)) => {
                tracing::warn!(connections, "connections did not end in time");
                Stopped::Late
            }
        }
    }
}

fn bind(config: &Config, auth: &Auth, tls: Option<Arc<Tls>>) -> Result<Listener, Error> {
    let openness = match (auth.is_open(), config.allow_anonymous) {
        (false, _) => Openness::Nobody,
        (true, false) => Openness::Machine,
        (true, true) => Openness::Everybody,
    };
    Ok(Listener::bind(listen::Config { tls, openness, ..config.accept_loop() })?)
}

fn public(door: &Door) -> Option<SocketAddr> {
    match door.place {
        Place::Tcp(address) if door.kind == Kind::Public => Some(address),
        _ => None,
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.edges.stop();
        self.core.stop();
    }
}
