//! Metrics of `http`: what is asked for, how it was answered, how long that took.
//!
//! Called by the table of routes. Never labels with a path, only with the route's own word.

use std::time::Duration;

use hyper::http::Method;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Unit;

use super::Names;

/// Metrics of `http`.
#[derive(Debug)]
pub struct Http {
    /// Streams of changes that are open now.
    pub feed_readers: Gauge,
    requests: Family<Answered, Counter>,
    seconds: Family<Asked, Histogram, fn() -> Histogram>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    route: &'static str,
}

impl Http {
    /// Registers all of them.
    pub(super) fn new(names: &mut Names) -> Http {
        let requests = Family::default();
        let help = "Requests that a route answered, by route, method and status";
        names.add("route_requests", help, requests.clone());
        // From 100 µs, a tag compared, to 100 s, a long poll.
        let histogram: fn() -> Histogram = || Histogram::new(exponential_buckets(1e-4, 4.0, 11));
        let seconds = Family::new_with_constructor(histogram);
        let help = "Time from a request's head to the head of its answer, by route";
        names.0.register_with_unit("route_request", help, Unit::Seconds, seconds.clone());
        let feed_readers = names.gauge("feed_readers", "Streams of changes open now");
        Http { feed_readers, requests, seconds }
    }

    /// One more answer of a route. Methods that no route has are counted as one.
    pub fn answer(&self, route: &'static str, method: &Method, status: u16, took: Duration) {
        let method = match *method {
            Method::GET => "GET",
            Method::HEAD => "HEAD",
            Method::PUT => "PUT",
            Method::POST => "POST",
            Method::PATCH => "PATCH",
            Method::DELETE => "DELETE",
            _ => "other",
        };
        self.requests.get_or_create(&Answered { route, method, status }).inc();
        self.seconds.get_or_create(&Asked { route }).observe(took.as_secs_f64());
    }
}
