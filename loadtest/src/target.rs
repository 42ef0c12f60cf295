//! A server under test: reached by its address, read from `/proc`. The comparison makes it, the
//! scenarios use it.

pub(crate) mod usage;

use std::cell::Cell;

use crate::outcome::{Dialect, Server};
use usage::Usage;

/// A server under test.
#[derive(Debug)]
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) version: String,
    /// How it was started, or its address.
    pub(crate) command: String,
    /// `ws://127.0.0.1:port`, with a prefix before the room's name if there is one.
    pub(crate) url: String,
    pub(crate) dialect: Dialect,
    pub(crate) is_floor: bool,
    /// Changes when the server is started again.
    pid: Cell<Option<u32>>,
}

impl Target {
    /// A server that somebody else started.
    pub(crate) fn attached(url: &str, pid: Option<u32>, dialect: Dialect) -> Self {
        Self {
            name: "server".to_owned(),
            version: String::new(),
            command: url.to_owned(),
            url: url.to_owned(),
            dialect,
            is_floor: false,
            pid: Cell::new(pid),
        }
    }

    /// The server's process, if its figures can be read.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.pid.get()
    }

    /// CPU time and memory of the server now, to the byte; nothing for a server whose process is
    /// not known.
    ///
    /// # Errors
    /// When the process has ended.
    pub(crate) fn usage(&self) -> anyhow::Result<Option<Usage>> {
        self.pid().map(|pid| usage::usage(Some(pid))).transpose()
    }

    /// What outcomes say of it.
    pub(crate) fn server(&self) -> Server {
        Server {
            name: self.name.clone(),
            version: self.version.clone(),
            command: self.command.clone(),
            dialect: self.dialect,
            is_floor: self.is_floor,
        }
    }
}
