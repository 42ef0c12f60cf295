//! A running server, as the commands that ask one reach it.
//!
//! Used by `doc` and `status`. Never takes a token from the command line, where every user of the
//! machine could read it, and never prints one.

use std::io::Write;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Method, Response, StatusCode, Url};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{WrongUse, paint};
use crate::crypto;
use sheaf_ground::time::Clock;

/// Names the server; `--server` wins over it.
const SERVER: &str = "SHEAF_SERVER";
/// Holds a token; `--token-file` wins over it.
const TOKEN: &str = "SHEAF_TOKEN";
/// Names a file that holds a token.
const TOKEN_FILE: &str = "SHEAF_TOKEN_FILE";

const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);
/// For a whole answer: a large text over a slow line.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(120);
/// How often a request is sent again that the server had no time for.
const TRIES: u32 = 6;
/// A server that wants us to wait longer than this is not waited for.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// What a part of a path keeps as it is (RFC 3986, unreserved).
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

#[derive(Debug, clap::Args)]
pub(super) struct Server {
    /// A running server: http://127.0.0.1:1234, https://…, or unix:/run/sheaf/sheaf.sock [env:
    /// SHEAF_SERVER]
    #[arg(long, value_name = "URL")]
    pub(super) server: Option<String>,
    /// File that holds the token and nothing else [env: SHEAF_TOKEN_FILE, or the token itself in
    /// SHEAF_TOKEN]
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Certificate to trust besides the system's, in PEM: for a server with one of its own making
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
}

/// What a server answered instead of doing what it was asked, or that there was no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// There was no answer.
    #[error("no answer from {server}: {why}")]
    Unreachable { server: String, why: String },
    /// It refused.
    #[error("{message}{}", advice(*status))]
    Refused { status: u16, code: String, message: String, details: Map<String, Value> },
}

impl Error {
    /// Whether the next request would fare no better, whatever it asked.
    pub(super) fn is_final(&self) -> bool {
        matches!(self, Error::Unreachable { .. } | Error::Refused { status: 401, .. })
    }
}

/// The shape of errors, see `docs/http-api.md`.
#[derive(Deserialize)]
struct Problem {
    code: String,
    message: String,
    #[serde(default)]
    details: Map<String, Value>,
}

impl Server {
    /// Where to go, as given: a flag, or the environment. A flag wins.
    pub(super) fn given(&self) -> Option<String> {
        self.server.clone().or_else(|| variable(SERVER))
    }

    /// Prepares to ask the server at `address`. Nothing is sent yet.
    pub(super) fn connect(&self, address: &str) -> anyhow::Result<Client> {
        let token = self.token()?;
        let mut builder = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIME_MAX)
            .timeout(ANSWER_TIME_MAX)
            .redirect(reqwest::redirect::Policy::none())
            .user_agent(concat!("sheaf/", env!("CARGO_PKG_VERSION")));
        let base = if let Some(path) = address.strip_prefix("unix:") {
            builder = builder.unix_socket(PathBuf::from(path));
            Url::parse("http://localhost/").expect("a constant that is right")
        } else {
            parse(address)?
        };
        if is_loopback(&base) {
            builder = builder.no_proxy();
        } else if token.is_some() && base.scheme() == "http" {
            let warning = paint::doubtful("warning:");
            let what = "the token goes over the network as everyone can read it; use https";
            let _ = writeln!(anstream::stderr(), "{warning} {what}");
        }
        if let Some(path) = &self.ca {
            let pem = std::fs::read(path)
                .with_context(|| format!("cannot read the certificate {}", path.display()))?;
            let certificates = reqwest::Certificate::from_pem_bundle(&pem)?;
            builder = builder.tls_certs_merge(certificates);
        }
        if base.scheme() == "http" {
            // No certificate is needed, and a machine may have none.
            builder = builder.tls_certs_only([]);
        }
        crypto::choose();
        let http = builder.build().context("cannot prepare to connect")?;
        Ok(Client { http, base, named: address.to_owned(), token, clock: Clock::system() })
    }

    fn token(&self) -> anyhow::Result<Option<String>> {
        let file = match (&self.token_file, variable(TOKEN)) {
            (Some(file), _) => file.clone(),
            (None, Some(token)) => return Ok(Some(token)),
            (None, None) => match variable(TOKEN_FILE) {
                Some(file) => file.into(),
                None => return Ok(None),
            },
        };
        let text = std::fs::read_to_string(&file).map_err(|why| {
            WrongUse(format!("cannot read the token in {}: {why}", file.display()))
        })?;
        let token = text.trim();
        if token.is_empty() || token.contains(char::is_whitespace) {
            let file = file.display();
            return Err(WrongUse(format!("{file} must hold one token and nothing else")).into());
        }
        Ok(Some(token.to_owned()))
    }
}

/// Asks one server.
pub(super) struct Client {
    http: reqwest::Client,
    base: Url,
    named: String,
    token: Option<String>,
    clock: Clock,
}

/// A request, beyond method and address.
#[derive(Default)]
pub(super) struct Ask {
    /// Behind the question mark.
    pub(super) query: Vec<(&'static str, String)>,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Body>,
    /// Whether to ask again when the server has no time: for work that is worth waiting for.
    pub(super) is_patient: bool,
}

/// What a request carries.
#[derive(Clone)]
pub(super) enum Body {
    Text(String),
    Bytes(bytes::Bytes),
}

impl Body {
    fn put(self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let (kind, body): (_, reqwest::Body) = match self {
            Body::Text(text) => ("text/plain; charset=utf-8", text.into()),
            Body::Bytes(bytes) => ("application/octet-stream", bytes.into()),
        };
        request.header(reqwest::header::CONTENT_TYPE, kind).body(body)
    }
}

impl Client {
    /// The address as the user named it.
    pub(super) fn name(&self) -> &str {
        &self.named
    }

    /// Sends a request to a path given in its parts, and again where the server had no time.
    pub(super) async fn ask(
        &self,
        method: Method,
        parts: &[&str],
        ask: Ask,
    ) -> Result<Response, Error> {
        let mut url = self.base.clone();
        // Escaped here: an address would lose line breaks and take `..` for a step.
        let mut path = url.path().trim_end_matches('/').to_owned();
        for part in parts {
            path.push('/');
            path.extend(utf8_percent_encode(part, PART));
        }
        url.set_path(&path);
        let mut wait = Duration::from_millis(500);
        for left in (0..TRIES).rev() {
            let mut request = self.http.request(method.clone(), url.clone()).query(&ask.query);
            request = request.headers(ask.headers.clone());
            if let Some(token) = &self.token {
                request = request.bearer_auth(token);
            }
            if let Some(body) = &ask.body {
                request = body.clone().put(request);
            }
            let response = request.send().await.map_err(|error| self.unreachable(&error))?;
            let status = response.status();
            if status.is_success() || status == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            let is_busy = status == StatusCode::TOO_MANY_REQUESTS
                || status == StatusCode::SERVICE_UNAVAILABLE;
            let asked = retry_after(response.headers());
            if !is_busy
                || !ask.is_patient
                || left == 0
                || asked.is_none_or(|asked| asked > WAIT_MAX)
            {
                return Err(refused(response).await);
            }
            wait = asked.unwrap_or(wait).max(wait);
            self.clock.sleep(wait).await;
        }
        unreachable!("the last try returns");
    }

    /// What went wrong on the way, in words that help.
    pub(super) fn unreachable(&self, error: &reqwest::Error) -> Error {
        // The innermost cause is the one that says something.
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let hint = if error.is_connect() {
            "; is it running? `sheaf serve` prints the addresses it listens on"
        } else {
            ""
        };
        Error::Unreachable { server: self.named.clone(), why: format!("{cause}{hint}") }
    }
}

fn advice(status: u16) -> &'static str {
    match status {
        401 => "; give one with --token-file FILE, SHEAF_TOKEN_FILE or SHEAF_TOKEN",
        403 => "; another token may be allowed to",
        _ => "",
    }
}

async fn refused(response: Response) -> Error {
    let status = response.status();
    let problem = response.json::<Problem>().await.unwrap_or_else(|_| Problem {
        code: String::new(),
        message: format!("it answered {status}: is this a Sheaf server?"),
        details: Map::new(),
    });
    let Problem { code, message, details } = problem;
    Error::Refused { status: status.as_u16(), code, message, details }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

fn parse(address: &str) -> Result<Url, WrongUse> {
    let wrong = |why: &str| {
        WrongUse(format!(
            "{address:?} is no address of a server: {why}; as in http://127.0.0.1:1234"
        ))
    };
    let url = Url::parse(address).map_err(|error| wrong(&error.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(wrong("it begins with http:// or https://"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(wrong("it holds a name or password; tokens come in a file"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("nothing comes behind its path"));
    }
    Ok(url)
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests;
