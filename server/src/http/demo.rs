//! The web demo, embedded in the binary, at `/`.
//!
//! For browsers. A build without Node has none and serves a page that says how to get it. Never
//! reads a file by a path from the request: names are looked up among those embedded.

use std::borrow::Cow;

use hyper::http::{HeaderValue, StatusCode, header};
use rust_embed::{EmbeddedFile, RustEmbed};
use sheaf_protocol::error::{Code, Refusal};
use warp::filters::BoxedFilter;
use warp::path::FullPath;
use warp::reply::Response;
use warp::{Filter, Reply};

use super::error::Error;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/../web-demo/dist"]
#[allow_missing = true]
struct Files;

const START_PAGE: &str = "index.html";
/// Vite puts a hash of the content into the names of what it writes here.
const HASHED: &str = "assets/";
/// Everything from ourselves. Styles also inline, since editors write style elements as they run;
/// images also from `data:`, which style sheets use for small ones.
const POLICY: &str = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
    object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const NOT_BUILT: &str = "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
    <meta name=\"viewport\" content=\"width=device-width\">\n<title>Sheaf</title>\n\
    <h1>Sheaf is running</h1>\n\
    <p>This build has no web demo. To build and serve it, get Node 20.19 or newer and run\n\
    <code>make run</code> in the source directory.\n\
    <p>Any y-websocket client can connect to this address.\n";

/// The route of this file: every path that no other file takes.
pub fn routes() -> BoxedFilter<(Response,)> {
    warp::get()
        .or(warp::head())
        .unify()
        .and(warp::path::full())
        .and(warp::header::optional("if-none-match"))
        .then(file)
        .map(Reply::into_response)
        .boxed()
}

async fn file(path: FullPath, held: Option<String>) -> Result<impl Reply, Error> {
    let name = path.as_str().trim_start_matches('/');
    let name = if name.is_empty() { START_PAGE } else { name };
    match Files::get(name) {
        Some(file) => Ok(answer(name, file, held.as_deref())),
        None if name == START_PAGE => Ok(not_built()),
        None => {
            let what = "nothing is served at this path";
            Err(Refusal { code: Code::NotFound, at: 0, what }.into())
        }
    }
}

fn answer(name: &str, file: EmbeddedFile, held: Option<&str>) -> Response {
    let tag = format!("\"{}\"", blake3::Hash::from(file.metadata.sha256_hash()).to_hex());
    let is_held = held.is_some_and(|held| held.split(',').any(|it| it.trim() == tag));
    let mut response = if is_held {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        match file.data {
            Cow::Borrowed(bytes) => bytes.into_response(),
            Cow::Owned(bytes) => bytes.into_response(),
        }
    };
    let is_hashed = name.starts_with(HASHED);
    let keep = if is_hashed { "public, max-age=31536000, immutable" } else { "no-cache" };
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(name)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(keep));
    headers.insert(header::ETAG, HeaderValue::try_from(tag).expect("hex in quotes is legal"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

fn not_built() -> Response {
    let mut response = warp::reply::html(NOT_BUILT).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// The type of a file by its name; what is not listed is only ever downloaded.
fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" | "map" => "application/json",
        "webmanifest" => "application/manifest+json",
        "txt" => "text/plain; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "wasm" => "application/wasm",
        _ => "application/octet-stream",
    }
}
