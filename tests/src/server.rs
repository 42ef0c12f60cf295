//! A server in this process, on a free port, with its data in a folder that goes when it goes.

use std::net::SocketAddr;

use sheaf_server::app::{Ambient, App};
use sheaf_server::config::Config;
use tempfile::TempDir;

/// A running server. Dropping it stops it.
pub struct Server {
    app: App,
    configure: fn(&mut Config),
    data: TempDir,
}

impl Server {
    /// Starts with the defaults: open to everybody on loopback.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts with a configuration of the test's own.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start_with(configure: fn(&mut Config)) -> Self {
        let data = tempfile::tempdir().expect("a folder for data");
        let app = start(&data, configure).await;
        Self { app, configure, data }
    }

    /// Stops it in order and starts it again on the same data and another port.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn restart(self) -> Self {
        let Self { app, configure, data } = self;
        app.stop().await;
        let app = start(&data, configure).await;
        Self { app, configure, data }
    }

    /// Stops it in order: sessions end with 1012, everything is on disk.
    pub async fn stop(self) {
        self.app.stop().await;
    }

    /// Where it listens.
    ///
    /// # Panics
    /// Never: a server that started listens.
    pub fn address(&self) -> SocketAddr {
        *self.app.addresses().first().expect("a server that started listens")
    }

    /// `ws://…`, without a room.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address())
    }

    /// The application itself, for its metrics.
    pub fn app(&self) -> &App {
        &self.app
    }
}

async fn start(data: &TempDir, configure: fn(&mut Config)) -> App {
    let mut config = Config {
        listen: Some(vec![([127, 0, 0, 1], 0).into()]),
        data: Some(data.path().join("data")),
        ..Config::default()
    };
    configure(&mut config);
    App::start(config, Ambient::system()).await.expect("the server starts")
}
