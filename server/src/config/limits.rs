//! Bounds that depend on the machine and its users.
//!
//! Read by `config`, which hands them on. Never holds a bound that both ends must agree on: those
//! are in `protocol::limits`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sheaf_protocol::limits::{
    CLOCK_DRIFT_MS, FILE_BYTES_MAX, MESSAGE_BYTES_MAX, TEXT_BYTES_MAX, WAIT_S_MAX,
};

use super::Error;
use crate::vault::PAGE_MAX;

/// Bounds that depend on the machine and its users.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Connections in all. An idle session costs a few KiB; file descriptors run out first.
    pub connections_max: usize,
    /// Connections from one address (IPv6: one /64), not applied on loopback. A class or an office
    /// behind one address fits, with a few tabs each.
    pub connections_per_address_max: usize,
    /// Live sessions of one user; those without a token are not counted.
    pub sessions_per_user_max: usize,
    /// Live sessions in one vault.
    pub sessions_per_vault_max: usize,
    /// Live sessions from one address, not applied on loopback.
    pub sessions_per_address_max: usize,
    /// Requests a second from one address, not applied on loopback; ten seconds' worth may come at
    /// once. 0: without limit.
    pub rate_requests_per_address_per_s: u64,
    /// Requests a second of one user; ten seconds' worth may come at once. 0: without limit.
    pub rate_requests_per_user_per_s: u64,
    /// New sessions a second in one vault; ten seconds' worth may come at once. 0: without limit.
    pub rate_sessions_per_vault_per_s: u64,
    /// Wrong tokens a minute from one address, not applied on loopback; ten minutes' worth may
    /// come at once. 0: without limit.
    pub rate_failures_per_address_per_min: u64,
    /// One message. At most the bound of the wire, 16 MiB.
    pub message_bytes_max: usize,
    /// One blob: a file that is no text.
    pub file_bytes_max: u64,
    /// A text file that is uploaded. At most the bound of the wire, 10 MiB.
    pub text_bytes_max: usize,
    /// Files or changes on one page. At most 1,000.
    pub page_items_max: u64,
    /// How long a request for changes may wait for one. At most 55 seconds.
    pub wait_s_max: u64,
    /// Bytes of messages read and not yet applied, and of large bodies over HTTP, all together.
    pub pending_bytes_max: usize,
    /// Time for a request's head to arrive.
    pub header_timeout_s: u64,
    /// Time to show a token that lets its holder in, on a socket where tokens are shown in messages
    /// (Hocuspocus, the vault channel).
    pub auth_timeout_s: u64,
    /// How far a client's clock may be ahead of the server's, by the stamp of a change. A stamp
    /// from further ahead is refused, or it would win over everything for as long.
    pub clock_drift_ms: u64,
    /// A session that is silent this long is asked whether it is there.
    pub ping_idle_s: u64,
    /// A session that is silent this long, although asked, is ended.
    pub session_idle_s: u64,
    /// Memory for all documents together; idle ones leave earlier when it is short.
    pub documents_bytes_max: u64,
    /// A document that nobody has open leaves memory after this long.
    pub unload_idle_s: u64,
    /// How long a stop may take.
    pub stop_timeout_s: u64,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections_max: 10_000,
            connections_per_address_max: 256,
            sessions_per_user_max: 1_000,
            sessions_per_vault_max: 10_000,
            sessions_per_address_max: 256,
            rate_requests_per_address_per_s: 200,
            rate_requests_per_user_per_s: 500,
            rate_sessions_per_vault_per_s: 500,
            rate_failures_per_address_per_min: 30,
            message_bytes_max: MESSAGE_BYTES_MAX,
            file_bytes_max: FILE_BYTES_MAX,
            text_bytes_max: TEXT_BYTES_MAX,
            page_items_max: PAGE_MAX as u64,
            wait_s_max: WAIT_S_MAX,
            pending_bytes_max: 256 << 20,
            header_timeout_s: 5,
            auth_timeout_s: 10,
            clock_drift_ms: CLOCK_DRIFT_MS,
            ping_idle_s: 20,
            session_idle_s: 40,
            documents_bytes_max: 512 << 20,
            unload_idle_s: 60,
            stop_timeout_s: 10,
        }
    }
}

impl Limits {
    /// Whether a server can run within them.
    ///
    /// # Errors
    /// `OutOfRange`.
    pub(super) fn check(&self) -> Result<(), Error> {
        let at_least_1 = [
            ("connections_max", self.connections_max as u64),
            ("connections_per_address_max", self.connections_per_address_max as u64),
            ("sessions_per_user_max", self.sessions_per_user_max as u64),
            ("sessions_per_vault_max", self.sessions_per_vault_max as u64),
            ("sessions_per_address_max", self.sessions_per_address_max as u64),
            ("header_timeout_s", self.header_timeout_s),
            ("auth_timeout_s", self.auth_timeout_s),
            ("ping_idle_s", self.ping_idle_s),
            ("unload_idle_s", self.unload_idle_s),
            ("stop_timeout_s", self.stop_timeout_s),
        ];
        for (key, value) in at_least_1 {
            check(key, value, value >= 1, "at least 1")?;
        }
        let message = self.message_bytes_max;
        let fits = (1024..=MESSAGE_BYTES_MAX).contains(&message);
        check("message_bytes_max", message as u64, fits, "from 1024 to 16777216")?;
        let file = self.file_bytes_max;
        // Behind it the list of a blob's chunks would be more than what a transfer may hold.
        let fits = (1 << 20..=4 << 30).contains(&file);
        check("file_bytes_max", file, fits, "from 1048576 (1 MiB) to 4294967296 (4 GiB)")?;
        let text = self.text_bytes_max;
        let fits = (1024..=TEXT_BYTES_MAX).contains(&text);
        check("text_bytes_max", text as u64, fits, "from 1024 to 10485760")?;
        let page = self.page_items_max;
        check("page_items_max", page, (1..=PAGE_MAX as u64).contains(&page), "from 1 to 1000")?;
        check("wait_s_max", self.wait_s_max, self.wait_s_max <= WAIT_S_MAX, "at most 55")?;
        let pending = self.pending_bytes_max;
        let holds_one = pending >= message;
        check("pending_bytes_max", pending as u64, holds_one, "at least message_bytes_max")?;
        let is_asked_first = self.session_idle_s > self.ping_idle_s;
        check("session_idle_s", self.session_idle_s, is_asked_first, "more than ping_idle_s")?;
        let documents = self.documents_bytes_max;
        check("documents_bytes_max", documents, documents >= 1 << 20, "at least 1048576 (1 MiB)")
    }
}

fn check(key: &'static str, value: u64, holds: bool, wanted: &'static str) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::OutOfRange { key, value, wanted }) }
}
