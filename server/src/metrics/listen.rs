//! Metrics of `relay::listen`: connections that did not come to a request, and the certificate.
//!
//! Never labels with an address: there are as many as there are attackers.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;

use super::{Level, Names};

/// Metrics of `relay::listen`.
#[derive(Debug)]
pub struct Listen {
    /// Spells in which no connection could be accepted, in the main for want of descriptors.
    pub accept_failures: Counter,
    /// When the certificate expires, in seconds since 1970; 0 without TLS.
    pub certificate_expiry: Level,
    unopened: [Counter; Unopened::ALL.len()],
}

/// Why a connection ended before its first request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unopened {
    /// No place under the caps.
    Full,
    /// A PROXY header is required, and the peer may not send one.
    Untrusted,
    /// No PROXY header where one is required, or a wrong one.
    Header,
    /// No handshake.
    Tls,
    /// Header and handshake did not come in time.
    Late,
}

impl Unopened {
    const ALL: [Unopened; 5] =
        [Unopened::Full, Unopened::Untrusted, Unopened::Header, Unopened::Tls, Unopened::Late];

    const fn name(self) -> &'static str {
        match self {
            Unopened::Full => "full",
            Unopened::Untrusted => "untrusted",
            Unopened::Header => "header",
            Unopened::Tls => "tls",
            Unopened::Late => "late",
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Why {
    why: &'static str,
}

impl Listen {
    pub(super) fn new(names: &mut Names) -> Listen {
        let family = Family::<Why, Counter>::default();
        let help = "Connections that ended before their first request, by reason";
        names.add("connections_unopened", help, family.clone());
        let of = |why: Unopened| family.get_or_create(&Why { why: why.name() }).clone();
        let accept_failures =
            names.counter("accept_failures", "Spells in which no connection could be accepted");
        let certificate_expiry = Level::default();
        let help = "When the certificate expires, in seconds since 1970; 0 without TLS";
        names.add("certificate_expiry_timestamp_seconds", help, certificate_expiry.clone());
        Listen { accept_failures, certificate_expiry, unopened: Unopened::ALL.map(of) }
    }

    /// One more connection that ended for this reason.
    pub fn not_opened(&self, why: Unopened) {
        self.unopened[why as usize].inc();
    }
}
