//! Requests straight into the routes.

use std::fmt::Debug;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http_body_util::BodyExt;
use hyper::Request;
use hyper::http::{Method, StatusCode};
use hyper_util::service::TowerToHyperService;
use serde_json::Value;
use sheaf_protocol::error::Code;
use sheaf_protocol::ids::Principal;
use warp::Reply;

use super::error::Error;
use super::*;
use crate::auth::caller::Caller;
use crate::blob;
use crate::config::Config;
use crate::document::tests::Ground;

#[derive(Default)]
struct Switch {
    is_broken: AtomicBool,
}

impl Health for Switch {
    fn check_ready(&self) -> Result<(), Refusal> {
        let what = "the journal is read-only";
        let refusal = Refusal { code: Code::Unavailable, at: 0, what };
        if self.is_broken.load(Ordering::SeqCst) { Err(refusal) } else { Ok(()) }
    }

    fn refresh(&self, metrics: &Metrics) {
        metrics.journal.durable_position.set(7);
    }
}

struct Answer {
    status: StatusCode,
    headers: hyper::HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

fn state(dir: &Path, clock: &Clock, health: &Arc<Switch>) -> State {
    let ground = Ground::open(dir, clock, 1 << 30);
    let metrics = Arc::clone(&ground.shared.metrics);
    let tasks = Group::new(metrics.task_panics.clone());
    State {
        metrics,
        health: Arc::clone(health) as Arc<dyn Health>,
        vaults: Vaults::new(ground.registry).expect("vaults"),
        blobs: Blobs::open(blob::Config::new(dir.join("blobs"), 1 << 20, clock.clone()))
            .expect("it opens"),
        auth: Auth::new(&Config::default().auth(), clock).expect("it may start"),
        about: Arc::new(status::About::new(clock, dir, 1 << 30)),
        clock: clock.clone(),
        tasks,
        is_admin_elsewhere: false,
        memory: Budget::new(1 << 20),
        limits: Limits::default(),
        public_url: None,
    }
}

async fn answer(
    state: &State,
    mut request: Request<String>,
) -> hyper::Response<impl hyper::body::Body<Data = Bytes, Error: Debug> + Unpin> {
    request.extensions_mut().insert(Caller::anyone());
    let service = TowerToHyperService::new(warp::service(routes(state)));
    hyper::service::Service::call(&service, request).await.expect("infallible")
}

async fn ask(health: &Arc<Switch>, request: Request<String>) -> Answer {
    let dir = tempfile::tempdir().expect("a directory");
    let state = state(dir.path(), &Clock::system(), health);
    let (parts, body) = answer(&state, request).await.into_parts();
    let bytes = body.collect().await.expect("a body in memory").to_bytes();
    let body = String::from_utf8_lossy(&bytes).into_owned();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn get(path: &str) -> Answer {
    let request = Request::get(path).body(String::new()).expect("a legal request");
    ask(&Arc::default(), request).await
}

#[tokio::test]
async fn a_probe_is_told_whether_writes_can_be_made_durable() {
    let health = Arc::new(Switch::default());
    let probe = |path| Request::get(path).body(String::new()).expect("a legal request");
    assert_eq!(ask(&health, probe("/readyz")).await.status, StatusCode::OK);
    health.is_broken.store(true, Ordering::SeqCst);
    let answer = ask(&health, probe("/readyz")).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.json()["code"], "unavailable");
    assert_eq!(answer.json()["message"], "the journal is read-only");
    assert_eq!(ask(&health, probe("/healthz")).await.status, StatusCode::OK);
    let text = ask(&health, probe("/metrics")).await.body;
    assert!(text.contains("sheaf_ready 0"), "{text}");
}

#[tokio::test]
async fn a_quiet_stream_gives_a_sign_of_life_every_fifteen_seconds_by_the_servers_clock() {
    let dir = tempfile::tempdir().expect("a directory");
    let (clock, hand) = Clock::test(1_700_000_000_000);
    let state = state(dir.path(), &clock, &Arc::default());
    let vault = "notes".parse().expect("a name");
    state.vaults.create(&vault, &Principal::Anonymous).await.expect("it is made");
    let request = Request::get("/v1/vaults/notes/changes").header("accept", "text/event-stream");
    let request = request.body(String::new()).expect("a legal request");
    let (parts, mut body) = answer(&state, request).await.into_parts();
    assert_eq!(parts.headers["content-type"], "text/event-stream");
    assert_eq!(parts.headers["x-accel-buffering"], "no");
    let chunk = |frame: Option<Result<hyper::body::Frame<Bytes>, _>>| {
        let frame = frame.expect("the stream goes on").expect("no error");
        String::from_utf8(frame.into_data().expect("data").to_vec()).expect("text")
    };
    assert_eq!(chunk(body.frame().await), "retry: 2000\n\n");
    for _ in 0..3 {
        // The reader's task goes to sleep.
        quiet().await;
        hand.advance(Duration::from_millis(14_999));
        quiet().await;
        assert!(body.frame().now_or_never().is_none(), "too early");
        hand.advance(Duration::from_millis(1));
        assert_eq!(chunk(body.frame().await), ":\n\n");
    }
    state.tasks.stop();
}

/// Lets every task go on as far as it can.
async fn quiet() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn the_status_tells_figures_and_why_it_is_not_ready() {
    let health = Arc::new(Switch::default());
    health.is_broken.store(true, Ordering::SeqCst);
    let request = Request::get("/v1/status").body(String::new()).expect("a legal request");
    let answer = ask(&health, request).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let status: status::Status = serde_json::from_str(&answer.body).expect("its shape");
    assert_eq!(status.not_ready.as_deref(), Some("the journal is read-only"));
    assert_eq!((status.ready, status.journal.durable), (false, 7));
    assert!(status.disk.data_bytes > 0, "what is kept is counted");
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test]
async fn metrics_are_open_metrics_text_and_fresh() {
    let answer = get("/metrics").await;
    assert!(answer.header("content-type").starts_with("application/openmetrics-text"));
    assert!(answer.body.contains("sheaf_journal_durable_position_bytes 7"));
    assert!(answer.body.ends_with("# EOF\n"));
}

#[tokio::test]
async fn an_unknown_path_is_a_404_in_the_one_shape() {
    let unknown = ["/nothing", "/v1/nothing", "/../Cargo.toml", "/healthz/x", "/%2e%2e/Cargo.toml"];
    for path in unknown {
        let answer = get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        let body = answer.json();
        assert_eq!(body["code"], "not_found");
        assert_eq!(body["retryable"], false);
        assert!(body["message"].is_string() && body["details"].is_object());
    }
    let mut post = Request::new(String::new());
    *post.method_mut() = Method::POST;
    assert_eq!(ask(&Arc::default(), post).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_start_page_is_there_with_or_without_a_built_demo() {
    let answer = get("/").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.header("content-type").starts_with("text/html"));
    assert!(answer.header("content-security-policy").contains("default-src 'self'"));
    assert!(answer.body.contains("Sheaf"), "{}", answer.body);
    let tag = answer.header("etag");
    if tag.is_empty() {
        assert!(answer.body.contains("make run"), "{}", answer.body);
        return;
    }
    let request = Request::get("/").header("if-none-match", tag).body(String::new());
    let again = ask(&Arc::default(), request.expect("a legal request")).await;
    assert_eq!(again.status, StatusCode::NOT_MODIFIED);
}

#[tokio::test]
async fn a_refusal_that_may_pass_says_when_to_come_back() {
    let refusal = |code| Error::from(Refusal { code, at: 0, what: "…" }).into_response();
    let headers = refusal(Code::TryLater).headers().clone();
    assert!(headers.contains_key("retry-after"));
    let response = refusal(Code::Unauthorised);
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()["www-authenticate"], "Bearer");
    assert!(!response.headers().contains_key("retry-after"));
}
