//! Logs, and traces for a collector of OpenTelemetry when one is configured.
//!
//! `cli` starts it before the server and ends it after. Spans are those of the target `task::SPAN`
//! and no others, and log lines never go to the collector. Never lets a token, a path or a
//! document's name into a span: parts put words of their own and numbers into them.

use std::io::{self, IsTerminal};
use std::time::Duration;

use hyper::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanData, SpanExporter};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::config::LogFormat;
use crate::crypto;
use sheaf_ground::task::SPAN;

/// Time for one export.
const EXPORT_TIME_MAX: Duration = Duration::from_secs(5);
/// Time for what is left at a stop: a collector that is away must not hold it up.
const FLUSH_TIME_MAX: Duration = Duration::from_secs(3);
/// Behind the endpoint, as the OTLP specification says.
const TRACES: &str = "/v1/traces";

/// Traces for a collector of OpenTelemetry.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Where the collector takes OTLP over HTTP: `http://127.0.0.1:4318`. Absent: no traces, and
    /// no cost.
    pub otlp_endpoint: Option<String>,
    /// What the collector calls this server.
    pub service_name: String,
    /// The part of requests and sessions that is traced, from 0 to 1. A request with a
    /// `traceparent` header follows its caller's choice.
    pub sample_ratio: f64,
}

impl Default for Config {
    fn default() -> Config {
        Config { otlp_endpoint: None, service_name: "sheaf".to_owned(), sample_ratio: 1.0 }
    }
}

/// Why telemetry cannot be. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A key that makes no sense.
    #[error("telemetry.{key} {wanted}")]
    Wrong {
        /// Which.
        key: &'static str,
        /// What would do.
        wanted: &'static str,
    },
    /// The exporter cannot be made.
    #[error("telemetry cannot start: {0}")]
    Exporter(String),
}

impl Config {
    /// Says what is wrong with it.
    ///
    /// # Errors
    /// `Wrong`.
    pub fn check(&self) -> Result<(), Error> {
        let is_url = |text: &String| {
            let url = reqwest::Url::parse(text);
            url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
        };
        if !self.otlp_endpoint.iter().all(is_url) {
            let wanted = "is no URL; write it as http://127.0.0.1:4318";
            return Err(Error::Wrong { key: "otlp_endpoint", wanted });
        }
        if !(0.0..=1.0).contains(&self.sample_ratio) {
            return Err(Error::Wrong { key: "sample_ratio", wanted: "is from 0 to 1" });
        }
        Ok(())
    }
}

/// What ends with the process.
#[derive(Debug)]
pub struct Telemetry(Option<SdkTracerProvider>);

impl Telemetry {
    /// Sets up logs to stderr and, if configured, traces, for the whole process. `runtime` carries
    /// the exports.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn start(
        config: &Config,
        filter: EnvFilter,
        format: LogFormat,
        runtime: &Handle,
    ) -> Result<Telemetry, Error> {
        config.check()?;
        let provider = match &config.otlp_endpoint {
            Some(endpoint) => Some(provider(config, endpoint, runtime)?),
            None => None,
        };
        let traces = provider.as_ref().map(|provider| {
            tracing_opentelemetry::layer()
                .with_tracer(provider.tracer("sheaf"))
                .with_location(false)
                .with_threads(false)
                .with_tracked_inactivity(false)
                .with_level(false)
                .with_target(false)
                .with_filter(filter_fn(|about| about.is_span() && about.target() == SPAN))
        });
        let lines = lines(format).with_filter(filter);
        tracing_subscriber::registry().with(lines).with(traces).init();
        Ok(Telemetry(provider))
    }

    /// Sends what is left, for at most three seconds. Blocks the thread.
    pub fn end(self) {
        if let Some(provider) = self.0
            && let Err(error) = provider.shutdown_with_timeout(FLUSH_TIME_MAX)
        {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Lines on stderr. As JSON the keys are `timestamp`, `level`, `message`, `target` and the event's
/// own, all on one level.
pub fn lines(format: LogFormat) -> Box<dyn Layer<Registry> + Send + Sync> {
    let lines = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    match format {
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).boxed(),
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true);
            lines.with_current_span(false).with_span_list(false).boxed()
        }
    }
}

/// A span goes on where the caller's `traceparent` is.
pub(super) fn continue_trace(span: &Span, headers: &HeaderMap) {
    if span.is_disabled() || !headers.contains_key("traceparent") {
        return;
    }
    let parent = TraceContextPropagator::new().extract(&Headers(headers));
    // Fails only when nobody collects, and then nobody misses it.
    let _ = span.set_parent(parent);
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(hyper::header::HeaderName::as_str).collect()
    }
}

fn provider(config: &Config, endpoint: &str, runtime: &Handle) -> Result<SdkTracerProvider, Error> {
    crypto::choose();
    let failed = |error: &dyn std::fmt::Display| Error::Exporter(error.to_string());
    let client = reqwest::Client::builder().no_proxy().timeout(EXPORT_TIME_MAX);
    let client = client.build().map_err(|error| failed(&error))?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_endpoint(format!("{}{TRACES}", endpoint.trim_end_matches('/')))
        .with_timeout(EXPORT_TIME_MAX)
        .build()
        .map_err(|error| failed(&error))?;
    let about = Resource::builder()
        .with_service_name(config.service_name.clone())
        .with_attribute(opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let sampler = Sampler::TraceIdRatioBased(config.sample_ratio);
    Ok(SdkTracerProvider::builder()
        .with_batch_exporter(OnRuntime { exporter, runtime: runtime.clone() })
        .with_sampler(Sampler::ParentBased(Box::new(sampler)))
        .with_resource(about)
        .build())
}

/// The batch processor has a thread of its own, and the client needs the runtime.
#[derive(Debug)]
struct OnRuntime {
    exporter: opentelemetry_otlp::SpanExporter,
    runtime: Handle,
}

impl SpanExporter for OnRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.runtime.block_on(self.exporter.export(batch))
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}
