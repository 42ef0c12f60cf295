//! How many connections there may be: in all, and from one address.
//!
//! `listen` takes a place for each connection, and its session keeps it. Never waits: over a cap
//! there is no place.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::metrics::Metrics;

/// Connections over the cap that may still ask for `/healthz` and the like: were they dropped, a
/// full server would look like a dead one.
pub(super) const OVERFLOW_MAX: usize = 64;

/// Counts connections.
#[derive(Debug)]
pub struct Caps {
    connections_max: usize,
    per_network_max: usize,
    open: Mutex<Open>,
    metrics: Arc<Metrics>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    overflow: usize,
    by_network: HashMap<IpAddr, usize>,
}

/// A connection's place under the caps, given back when the last clone of its `Arc` is dropped.
/// A session holds one as long as its socket.
#[derive(Debug)]
pub struct Permit {
    caps: Arc<Caps>,
    /// The counted network; none on loopback.
    network: Option<IpAddr>,
    is_overflow: bool,
    /// For one client of a connection that a proxy shares among several: the connection's own
    /// place.
    shared: Option<Arc<Permit>>,
}

impl Caps {
    /// Counts up to so many, in all and for one network.
    #[must_use]
    pub fn new(connections_max: usize, per_network_max: usize, metrics: Arc<Metrics>) -> Arc<Caps> {
        metrics.relay.connections_max.set(connections_max as i64);
        Arc::new(Caps { connections_max, per_network_max, open: Mutex::default(), metrics })
    }

    /// A place for a connection from `address`; none when the socket should just be closed. A
    /// proxy's connections are counted when it has said whose they are: until then they have no
    /// address.
    pub fn admit(self: &Arc<Self>, address: Option<IpAddr>) -> Option<Permit> {
        let network = address.and_then(network);
        let mut open = self.open.lock();
        let is_greedy = network.is_some_and(|it| open.here(it) >= self.per_network_max);
        let is_overflow = open.all >= self.connections_max || is_greedy;
        if is_overflow {
            // One address may not use up what keeps a full server answering the operator.
            if is_greedy || open.overflow >= OVERFLOW_MAX {
                return None;
            }
            open.overflow += 1;
        } else {
            open.all += 1;
            if let Some(network) = network {
                *open.by_network.entry(network).or_default() += 1;
            }
        }
        self.metrics.relay.connections.inc();
        Some(Permit { caps: Arc::clone(self), network, is_overflow, shared: None })
    }

    /// Counts `client` too; false over its cap.
    fn count(&self, client: IpAddr) -> bool {
        let mut open = self.open.lock();
        let has_place = open.here(client) < self.per_network_max;
        if has_place {
            *open.by_network.entry(client).or_default() += 1;
        }
        has_place
    }
}

impl Open {
    fn here(&self, network: IpAddr) -> usize {
        self.by_network.get(&network).copied().unwrap_or(0)
    }
}

impl Permit {
    /// Whether this is one of the few places beyond the cap: good for a question, not for a
    /// session.
    #[must_use]
    pub fn is_overflow(&self) -> bool {
        self.is_overflow
    }

    /// The connection turns out to be `client`'s; false when that one has its share already.
    #[must_use]
    pub fn belongs_to(&mut self, client: IpAddr) -> bool {
        let Some(network) = network(client).filter(|_| !self.is_overflow) else { return true };
        let has_place = self.caps.count(network);
        if has_place {
            self.network = Some(network);
        }
        has_place
    }

    /// A place for one client of a connection that a proxy shares among several; none over its
    /// cap.
    #[must_use]
    pub fn for_client(self: &Arc<Self>, client: IpAddr) -> Option<Arc<Permit>> {
        let Some(network) = network(client).filter(|_| !self.is_overflow) else {
            return Some(Arc::clone(self));
        };
        self.caps.count(network).then(|| {
            let (caps, shared) = (Arc::clone(&self.caps), Some(Arc::clone(self)));
            Arc::new(Permit { caps, network: Some(network), is_overflow: false, shared })
        })
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.caps.open.lock();
        if self.shared.is_none() {
            self.caps.metrics.relay.connections.dec();
            if self.is_overflow {
                open.overflow -= 1;
                return;
            }
            open.all -= 1;
        }
        let Some(network) = self.network else { return };
        let here = open.by_network.get_mut(&network).expect("counted when it was admitted");
        *here -= 1;
        if *here == 0 {
            open.by_network.remove(&network);
        }
    }
}

/// What is counted as one address: whoever has one IPv6 address has its whole /64.
fn network(address: IpAddr) -> Option<IpAddr> {
    match address.to_canonical() {
        address if address.is_loopback() => None,
        IpAddr::V4(address) => Some(IpAddr::V4(address)),
        IpAddr::V6(address) => {
            let prefix = u128::from(address) & !u128::from(u64::MAX);
            Some(IpAddr::V6(Ipv6Addr::from(prefix)))
        }
    }
}

#[cfg(test)]
mod tests;
