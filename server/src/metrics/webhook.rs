//! Metrics of `webhook`.
//!
//! Made with all others by `Metrics::new`. Never labels with a webhook's name or URL.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Unit;

use super::Names;

/// Metrics of `webhook`.
#[derive(Debug)]
pub struct Webhook {
    /// Tries that were not the first of their event.
    pub retries: Counter,
    /// Events read or stored, and not told.
    pub pending: Gauge,
    /// Age of the oldest of them.
    pub lag_seconds: Gauge<f64, AtomicU64>,
    /// Webhooks that are off until the next start.
    pub disabled: Gauge,
    /// Session events that will not be told.
    pub session_events_dropped: Counter,
    deliveries: [Counter; Outcome::ALL.len()],
}

/// How a try to deliver ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The receiver took it.
    Delivered,
    /// It did not, and will be asked again.
    Failed,
    /// It did not for too long: the event is given up.
    Dead,
    /// It wants no more.
    Gone,
}

impl Outcome {
    pub(super) const ALL: [(Outcome, &'static str); 4] = [
        (Outcome::Delivered, "delivered"),
        (Outcome::Failed, "failed"),
        (Outcome::Dead, "dead"),
        (Outcome::Gone, "gone"),
    ];
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Delivery {
    outcome: &'static str,
}

impl Webhook {
    /// One more try with this outcome.
    pub fn deliveries(&self, outcome: Outcome) {
        self.deliveries[outcome as usize].inc();
    }
}

pub(super) fn webhook(names: &mut Names) -> Webhook {
    let deliveries = Family::<Delivery, Counter>::default();
    let help = "Tries to deliver an event to a webhook, by outcome";
    names.add("webhook_deliveries", help, deliveries.clone());
    let lag_seconds = Gauge::default();
    let help = "Age of the oldest event that a webhook was not told; debouncing is part of it";
    names.0.register_with_unit("webhook_lag", help, Unit::Seconds, lag_seconds.clone());
    Webhook {
        retries: names.counter("webhook_retries", "Tries that were not the first of their event"),
        pending: names.gauge("webhook_pending", "Events read or stored, and not told"),
        lag_seconds,
        disabled: names
            .gauge("webhook_disabled", "Webhooks that are off until the next start, after a 410"),
        session_events_dropped: names.counter(
            "webhook_session_events_dropped",
            "Session events that webhooks will not be told: the receiver is too far behind",
        ),
        deliveries: Outcome::ALL
            .map(|(_, outcome)| deliveries.get_or_create_owned(&Delivery { outcome })),
    }
}
