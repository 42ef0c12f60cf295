//! From an HTTP request to an open WebSocket.
//!
//! `app` hands every upgrade request here, already admitted by `auth`. We answer 101 ourselves and
//! own the raw socket, if need be by taking it out of hyper: its own WebSocket support and warp's
//! hold 132 KiB per idle socket, this way about 1.3 (measured). Never reads or writes a frame.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hyper::http::request::Parts;
use hyper::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use sheaf_protocol::control::SUBPROTOCOL;
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::{VaultName, check_document_name, check_url_name};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::caps::Permit;
use super::dialect::family::Family;
use super::listen::Peer;
use super::patience::Patient;
use super::session::{About, Opened};
use super::stream::Stream;
use crate::auth::{Caller, Grant, Role, token};
use crate::document::handle::Name;
use sheaf_ground::task::Group;

/// The only version RFC 6455 has.
const VERSION: &str = "13";
/// A key is this many random bytes, RFC 6455 §4.1.
const KEY_BYTES: usize = 16;
/// Room for a 101 with a token's protocol.
const HEAD_BYTES: usize = 384;

/// Takes an opened WebSocket. Called inside a task of the runtime; must not block.
pub type Accept = Arc<dyn Fn(Opened) + Send + Sync>;

/// Answers upgrade requests.
pub struct Upgrade {
    accept: Accept,
    tasks: Group,
    hocuspocus: Vec<OtherPath>,
}

impl fmt::Debug for Upgrade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upgrade").field("tasks", &self.tasks).finish_non_exhaustive()
    }
}

/// Whether a request wants a WebSocket, and so comes to [`Upgrade::answer`], whatever its path.
#[must_use]
pub fn is_wanted(headers: &HeaderMap) -> bool {
    has_word(headers, header::UPGRADE, "websocket")
}

impl Upgrade {
    /// Opened sockets go to `accept`, from tasks of `tasks`. Providers of Hocuspocus come to the
    /// paths of `hocuspocus` too.
    #[must_use]
    pub fn new(accept: Accept, tasks: Group, hocuspocus: Vec<OtherPath>) -> Upgrade {
        Upgrade { accept, tasks, hocuspocus }
    }

    /// Whether a request opens a socket on which tokens are shown in messages.
    #[must_use]
    pub fn shows_later(&self, request: &Parts) -> bool {
        let path = request.uri.path();
        let shows_later = || match channel_of(path) {
            Some(vault) => vault.is_ok(),
            None => target_of(path, &self.hocuspocus).is_ok_and(|target| target.document.is_none()),
        };
        is_wanted(&request.headers) && shows_later()
    }

    /// Decides on one upgrade request.
    ///
    /// # Errors
    /// `NotFound` for paths that are no document, `TooLarge` for names over the limit, `Malformed`
    /// for a broken handshake, `TryLater` over the connection caps, and what the
    /// request's [`Caller`] is refused.
    pub async fn open<B>(&self, request: &Request<B>) -> Result<Answer, Refusal> {
        let path = request.uri().path();
        let wanted = match channel_of(path) {
            Some(vault) => Wanted::Channel(vault?, chosen_version(request.headers())?),
            None => Wanted::Target(target_of(path, &self.hocuspocus)?),
        };
        let caller: &Caller = request.extensions().get().ok_or(internal("no caller"))?;
        let caller = caller.clone();
        let grant = match &wanted {
            Wanted::Target(Target { vault, document: Some((_, name)) }) => {
                Some(caller.grant(vault, Some(name), Role::Read).await?)
            }
            _ => None,
        };
        let peer: &Peer = request.extensions().get().ok_or(internal("no peer"))?;
        let full = Refusal { code: Code::TryLater, at: 0, what: "too many connections" };
        let (client, is_shared) = (peer.client, peer.is_shared);
        let permit = peer.permit.clone().ok_or(full)?;
        let Some(mut response) = handshake(request)? else {
            return Ok(Answer::Other(other_version()));
        };
        let permit = if is_shared {
            let what = "too many connections from this address";
            let greedy = Refusal { code: Code::TooMany, at: 0, what };
            permit.for_client(client).ok_or(greedy)?
        } else {
            permit
        };
        let version = match &wanted {
            Wanted::Channel(_, version) => version.map(HeaderValue::from_static),
            Wanted::Target(_) => None,
        };
        if let Some(offer) = version.or_else(|| token::chosen_protocol(request.headers())) {
            response.headers_mut().insert(header::SEC_WEBSOCKET_PROTOCOL, offer);
        }
        let about = wanted.about(caller, grant)?;
        let accept = Arc::clone(&self.accept);
        Ok(Answer::Opens(Opening { response, accept, about, permit }))
    }

    /// Answers one upgrade request that came through hyper, with 101 or, for another version of
    /// WebSocket, 426. After a 101 has gone out, the socket goes to `accept`.
    ///
    /// # Errors
    /// As [`Upgrade::open`].
    pub async fn answer<B>(&self, request: &mut Request<B>) -> Result<Response<()>, Refusal> {
        let mut opening = match self.open(request).await? {
            Answer::Opens(opening) => opening,
            Answer::Other(response) => return Ok(response),
        };
        let upgrade = request.extensions_mut().remove::<OnUpgrade>();
        let upgrade = upgrade.ok_or(internal("this connection cannot be upgraded"))?;
        let response = std::mem::take(&mut opening.response);
        self.tasks.spawn("upgrade", async move {
            match upgrade.await.map(raw) {
                Ok(Ok((stream, leftover))) => opening.accept(stream, Vec::new(), leftover),
                Ok(Err(_)) => tracing::error!("an upgraded socket is not ours"),
                Err(error) => tracing::debug!(%error, "the peer left during the upgrade"),
            }
        });
        Ok(response)
    }
}

/// What an upgrade request is answered.
#[derive(Debug)]
pub enum Answer {
    /// 101, and the session begins.
    Opens(Opening),
    /// The client speaks another version of WebSocket.
    Other(Response<()>),
}

/// A session that begins as soon as its socket is there.
pub struct Opening {
    /// The answer to the handshake.
    pub response: Response<()>,
    accept: Accept,
    about: About,
    permit: Arc<Permit>,
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").finish_non_exhaustive()
    }
}

impl Opening {
    /// Begins the session on a socket that has not been answered: the answer leaves with the
    /// session's first words. `leftover` came behind the request.
    pub fn begin(self, stream: Stream, leftover: Vec<u8>) {
        let mut greeting = Vec::with_capacity(HEAD_BYTES);
        greeting.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
        for (name, value) in self.response.headers() {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                greeting.extend_from_slice(part);
            }
        }
        greeting.extend_from_slice(b"\r\n");
        self.accept(stream, greeting, leftover);
    }

    fn accept(self, stream: Stream, greeting: Vec<u8>, leftover: Vec<u8>) {
        let Opening { accept, about, permit, .. } = self;
        accept(Opened { stream, greeting, leftover, about, permit: Some(permit) });
    }
}

/// What a request is for.
enum Wanted {
    /// The channel of a vault, and the version of it that was chosen among those offered.
    Channel(Option<VaultName>, Option<&'static str>),
    /// Documents.
    Target(Target),
}

impl Wanted {
    /// What the socket will be about; `grant` is that for the one document.
    fn about(self, caller: Caller, grant: Option<Grant>) -> Result<About, Refusal> {
        match (self, grant) {
            (Wanted::Channel(vault, _), _) => Ok(About::Channel { vault, caller }),
            (Wanted::Target(Target { vault, document: Some((family, name)) }), Some(grant)) => {
                let document: Arc<str> = name.into();
                let leash = caller.enter(&vault, Arc::clone(&document), family.name(), grant)?;
                Ok(About::Document { family, name: Name { vault, document }, leash })
            }
            (Wanted::Target(Target { vault, .. }), _) => Ok(About::Many { vault, caller }),
        }
    }
}

/// What a path names.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    vault: VaultName,
    /// The document, and who asks for it in this way; none where frames name it.
    document: Option<(Family, String)>,
}

/// A path of the configuration, at which rooms would be, decoded and without the slashes around it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct OtherPath(String);

/// Text that is no path, or that of something else.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no path for Hocuspocus; write it as /collaboration, and not as one in use")]
pub struct BadPath(String);

impl FromStr for OtherPath {
    type Err = BadPath;

    fn from_str(text: &str) -> Result<OtherPath, BadPath> {
        let path = text.strip_prefix('/').map(|path| path.strip_suffix('/').unwrap_or(path));
        let is_path = |path: &&str| !path.starts_with("v1/") && !path.contains(['?', '#']);
        let path = path.filter(is_path).ok_or_else(|| BadPath(text.to_owned()))?;
        match target_of(path, &[]) {
            Ok(Target { document: Some((Family::YWebsocket, room)), .. }) => Ok(OtherPath(room)),
            _ => Err(BadPath(text.to_owned())),
        }
    }
}

impl TryFrom<String> for OtherPath {
    type Error = BadPath;

    fn try_from(text: String) -> Result<OtherPath, BadPath> {
        text.parse()
    }
}

impl From<OtherPath> for String {
    fn from(path: OtherPath) -> String {
        format!("/{}", path.0)
    }
}

/// What a path names.
///
/// Exact patterns come first; every other path is a room of the vault `default`, slashes and all,
/// because that is what stock clients send: server URL, slash, room name. Unless it is one of the
/// paths `hocuspocus`: then the room of that name is reached by its vault.
fn target_of(path: &str, hocuspocus: &[OtherPath]) -> Result<Target, Refusal> {
    let path = path.strip_prefix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(Target { vault: VaultName::default(), document: None });
    }
    if let Some(vault) = hocuspocus_vault(path) {
        return Ok(Target { vault: vault?, document: None });
    }
    if let Some(id) = ysweet_id(path) {
        let document = Some((Family::YSweet, id?));
        return Ok(Target { vault: VaultName::default(), document });
    }
    let (vault, document) = room(path)?;
    let is_other = |other: &OtherPath| document.strip_suffix('/').unwrap_or(&document) == other.0;
    let is_hocuspocus = !path.starts_with("v1/") && hocuspocus.iter().any(is_other);
    let document = (!is_hocuspocus).then_some((Family::YWebsocket, document));
    Ok(Target { vault, document })
}

/// The vault in `v1/vaults/<vault>/channel`, or that of no name yet in `v1/ws`; none for another
/// path.
fn channel_of(path: &str) -> Option<Result<Option<VaultName>, Refusal>> {
    let path = path.strip_prefix('/').unwrap_or(path);
    if path == "v1/ws" {
        return Some(Ok(None));
    }
    let vault = path.strip_prefix("v1/vaults/")?.strip_suffix("/channel")?;
    (!vault.contains('/')).then(|| vault_of(vault).map(Some))
}

/// The version of the vault channel that a client and we both speak; none where it does not say.
fn chosen_version(headers: &HeaderMap) -> Result<Option<&'static str>, Refusal> {
    let versions: Vec<&str> =
        token::offered(headers).filter(|offer| offer.starts_with("sheaf.")).collect();
    if versions.is_empty() || versions.contains(&SUBPROTOCOL) {
        return Ok(versions.first().map(|_| SUBPROTOCOL));
    }
    let what = "this server speaks sheaf.v1";
    Err(Refusal { code: Code::ProtocolVersion, at: 0, what })
}

/// The vault in `v1/vaults/<vault>/hocuspocus`; none for another path.
fn hocuspocus_vault(path: &str) -> Option<Result<VaultName, Refusal>> {
    let vault = path.strip_prefix("v1/vaults/")?.strip_suffix("/hocuspocus")?;
    (!vault.contains('/')).then(|| vault_of(vault))
}

/// The id in `d/<id>/ws/<id>` or `doc/ws/<id>`; none for another path. Y-Sweet's client puts it
/// behind the address that it was told, which has it already.
fn ysweet_id(path: &str) -> Option<Result<String, Refusal>> {
    let mut parts = path.split('/');
    let parts = [(); 5].map(|()| parts.next());
    let (id, again) = match parts {
        [Some("d"), Some(id), Some("ws"), Some(again), None] => (id, again),
        [Some("doc"), Some("ws"), Some(id), None, _] => (id, id),
        _ => return None,
    };
    if id != again {
        let what = "the id stands twice in this path, and must be the same";
        return Some(Err(Refusal::malformed(0, what)));
    }
    let id = decoded(id).and_then(|id| match check_url_name(&id) {
        Ok(()) => Ok(id),
        Err(_) => Err(Refusal::malformed(0, "an id is 1 to 1024 of A-Z a-z 0-9 _ -")),
    });
    Some(id)
}

fn room(path: &str) -> Result<(VaultName, String), Refusal> {
    let (vault, document) = match path.strip_prefix("v1/") {
        Some(rest) => in_vault(rest)?,
        None => (VaultName::default(), decoded(path)?),
    };
    if document.is_empty() {
        return Err(not_found("a WebSocket needs a document's name as its path"));
    }
    // Told only now: `/%761/…` is no way round.
    if vault.as_str() == VaultName::DEFAULT && document.starts_with("v1/") {
        return Err(not_found("no WebSocket is served here"));
    }
    check_document_name(&document)
        .map_err(|_| Refusal::too_large(0, "a document name has 1 to 1024 bytes"))?;
    Ok((vault, document))
}

/// What follows `/v1/`: `vaults/<vault>/docs/<path…>`. Split before it is decoded: an escaped
/// slash belongs to the part it stands in.
fn in_vault(rest: &str) -> Result<(VaultName, String), Refusal> {
    let parts = rest.strip_prefix("vaults/").and_then(|rest| rest.split_once('/'));
    let parts = parts.and_then(|(vault, rest)| Some((vault, rest.strip_prefix("docs/")?)));
    let (vault, document) = parts.ok_or(not_found("no WebSocket is served here"))?;
    Ok((vault_of(vault)?, decoded(document)?))
}

fn vault_of(part: &str) -> Result<VaultName, Refusal> {
    decoded(part)?.parse().map_err(|_| not_found("this is no vault's name"))
}

fn decoded(part: &str) -> Result<String, Refusal> {
    let text = percent_decode_str(part).decode_utf8();
    text.map(Cow::into_owned).map_err(|_| Refusal::malformed(0, "the path is not UTF-8"))
}

/// Checks the handshake and makes its answer; none if the client speaks another version.
fn handshake<B>(request: &Request<B>) -> Result<Option<Response<()>>, Refusal> {
    let headers = request.headers();
    let is_legal = request.method() == Method::GET
        && request.version() == Version::HTTP_11
        && has_word(headers, header::CONNECTION, "upgrade");
    if !is_legal {
        return Err(Refusal::malformed(0, "not a WebSocket handshake"));
    }
    let version = headers.get(header::SEC_WEBSOCKET_VERSION);
    if version.is_none_or(|version| version != VERSION) {
        return Ok(None);
    }
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes);
    let key = key.filter(|key| STANDARD.decode(key).is_ok_and(|it| it.len() == KEY_BYTES));
    let key = key.ok_or(Refusal::malformed(0, "not a Sec-WebSocket-Key"))?;
    let accept = HeaderValue::try_from(derive_accept_key(key)).expect("base64 is a legal value");
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let answers = response.headers_mut();
    answers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    answers.insert(header::CONNECTION, HeaderValue::from_static("Upgrade"));
    answers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    Ok(Some(response))
}

fn other_version() -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::UPGRADE_REQUIRED;
    let version = HeaderValue::from_static(VERSION);
    response.headers_mut().insert(header::SEC_WEBSOCKET_VERSION, version);
    response
}

/// The socket itself, and what hyper had read beyond the request.
///
/// hyper's read buffer lives as long as any slice of it, an empty one too, and would cost each idle
/// session 4 to 8 KiB: so the rest is copied out and the buffer dropped here.
fn raw(upgraded: Upgraded) -> Result<(Stream, Vec<u8>), Upgraded> {
    let parts = upgraded.downcast::<TokioIo<Patient>>()?;
    let (stream, unread) = parts.io.into_inner().into_parts();
    Ok((stream, [parts.read_buf, unread].concat()))
}

/// Whether a header that lists words has `word` among them, in any case.
fn has_word(headers: &HeaderMap, name: HeaderName, word: &str) -> bool {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|it| it.trim().eq_ignore_ascii_case(word))
}

fn not_found(what: &'static str) -> Refusal {
    Refusal { code: Code::NotFound, at: 0, what }
}

fn internal(what: &'static str) -> Refusal {
    Refusal { code: Code::Internal, at: 0, what }
}

#[cfg(test)]
mod tests;
