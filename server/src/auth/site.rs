//! Which pages may talk to us: the rule for `Host`, `Origin` and forwarding headers.
//!
//! Browsers send WebSockets and simple requests across sites without asking, and a hostile DNS name
//! can be pointed at 127.0.0.1; so a request without a valid token must address us by a name we
//! know, and come from a page we know. Called by `Auth::admit`. Never resolves a name.

use std::net::IpAddr;

use hyper::http::request::Parts;
use hyper::http::{Extensions, HeaderMap, HeaderName, header};
use sheaf_protocol::error::{Code, Refusal};

use super::credential::Credential;
use super::forwarded::Forwarded;
use super::{Auth, Caller, Config, Denied, Error, token};

/// The names and origins that are ours.
#[derive(Debug)]
pub(super) struct Site {
    /// Lower case, without port.
    hosts: Vec<String>,
    /// As browsers write them: scheme, host, port unless default; lower case.
    origins: Vec<String>,
}

impl Site {
    pub(super) fn new(config: &Config) -> Result<Site, Error> {
        // An address we were told to listen on is a name we were told; the wildcard is no name.
        let addresses = config.listen.iter().map(|address| address.ip());
        let addresses = addresses.filter(|ip| !ip.is_unspecified()).map(|ip| ip.to_string());
        let hosts = config.hosts.iter().map(|host| host_of(host).to_ascii_lowercase());
        let mut origins = Vec::new();
        for origin in &config.origins {
            let has_path = authority_of(origin).is_none_or(|authority| authority.contains('/'));
            if has_path {
                return Err(Error::BadOrigin(origin.clone()));
            }
            origins.push(origin.to_ascii_lowercase());
        }
        Ok(Site { hosts: hosts.chain(addresses).collect(), origins })
    }

    /// The rule for requests without a valid token.
    pub(super) fn check(&self, request: &Parts) -> Result<(), Refusal> {
        let host = authority(&request.headers, &request.extensions);
        let host = host.ok_or(forbidden("the request names no host"))?;
        let name = host_of(host);
        if !is_loopback(name) && !self.hosts.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(forbidden("the host name is not known here: add it to `hosts`"));
        }
        self.check_origin(host, request)
    }

    /// With a valid token any page may come, unless the operator has listed those that may.
    pub(super) fn check_with_token(&self, request: &Parts) -> Result<(), Refusal> {
        if self.origins.is_empty() {
            return Ok(());
        }
        let host = authority(&request.headers, &request.extensions);
        self.check_origin(host.unwrap_or_default(), request)
    }

    /// The rule for what a browser asks before a request: it carries no token, but says whether the
    /// request will.
    pub(super) fn check_preflight(&self, request: &Parts) -> Result<(), Refusal> {
        let sent = request.headers.get_all(header::ACCESS_CONTROL_REQUEST_HEADERS).into_iter();
        let mut sent = sent.filter_map(|it| it.to_str().ok()).flat_map(|it| it.split(','));
        let is_announced = sent.any(|name| name.trim().eq_ignore_ascii_case("authorization"));
        if is_announced || token::of_request(request) != token::Carried::None {
            self.check_with_token(request)
        } else {
            self.check(request)
        }
    }

    fn check_origin(&self, host: &str, request: &Parts) -> Result<(), Refusal> {
        let Some(origin) = request.headers.get(header::ORIGIN) else { return Ok(()) };
        let origin = origin.to_str().map_err(|_| forbidden("the origin is not text"))?;
        let authority = authority_of(origin).ok_or(forbidden("the origin names no host"))?;
        let is_same = authority.eq_ignore_ascii_case(host);
        let is_listed = self.origins.iter().any(|known| known.eq_ignore_ascii_case(origin));
        if is_same || is_listed || is_loopback(host_of(authority)) {
            Ok(())
        } else {
            Err(forbidden("pages of this origin may not connect: add it to `origins`"))
        }
    }
}

impl Auth {
    /// As [`Auth::admit`], for a socket on which tokens are shown in messages. Where a request with
    /// a good token may come, one that shows none yet gets its socket, and on it nothing before it
    /// has shown one: what a page must know is no authority that a browser lends it. A server that
    /// takes no tokens has nothing to wait for.
    ///
    /// # Errors
    /// As [`Auth::admit`].
    pub fn admit_showing_later(&self, request: &Parts, address: IpAddr) -> Result<Caller, Denied> {
        let denied = match self.admit(request, address) {
            Err(denied) if denied.refusal.code == Code::Forbidden => denied,
            other => return other,
        };
        let rules = self.rules();
        let may_show = rules.takes_tokens()
            && token::of_request(request) == token::Carried::None
            && rules.site.check_with_token(request).is_ok();
        if may_show {
            tracing::debug!(denied.refusal.what, "nothing without a token on this socket");
            Ok(Caller::new(self.clone(), Credential::Elsewhere, address.to_canonical()))
        } else {
            Err(denied)
        }
    }
}

/// Refuses a request that a proxy has passed on: it comes from elsewhere, whatever the socket says.
pub(super) fn check_not_forwarded(headers: &HeaderMap) -> Result<(), Refusal> {
    let is_forwarding =
        |name: &HeaderName| *name == header::FORWARDED || name.as_str().starts_with("x-forwarded-");
    if headers.keys().any(is_forwarding) {
        let what = "this server is open only to its own machine; behind a proxy, configure \
                    users or allow_anonymous";
        return Err(forbidden(what));
    }
    Ok(())
}

/// The one host a request is addressed to, by what a trusted proxy says or by `Host`. Two `Host`
/// headers, which proxies and servers may read differently, count as none.
pub(super) fn authority<'a>(headers: &'a HeaderMap, told: &'a Extensions) -> Option<&'a str> {
    let forwarded = told.get::<Forwarded>().and_then(|it| it.host.as_deref());
    if forwarded.is_some() {
        return forwarded;
    }
    let mut named = headers.get_all(header::HOST).iter();
    match (named.next(), named.next()) {
        (Some(host), None) => host.to_str().ok(),
        _ => None,
    }
}

/// The `host[:port]` of an origin such as `https://notes.example.org`; none for `null`.
fn authority_of(origin: &str) -> Option<&str> {
    let (scheme, authority) = origin.split_once("://")?;
    (!scheme.is_empty() && !authority.is_empty()).then_some(authority)
}

/// Without the port and without the brackets of an IPv6 address.
fn host_of(authority: &str) -> &str {
    if let Some((address, _)) = authority.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return address;
    }
    match authority.split_once(':') {
        // A second colon: a bare IPv6 address, as a person may write it in the configuration.
        Some((_, rest)) if rest.contains(':') => authority,
        Some((host, _)) => host,
        None => authority,
    }
}

fn is_loopback(host: &str) -> bool {
    // Browsers resolve `localhost` and what ends in it by themselves, never by DNS.
    let host = host.strip_suffix('.').unwrap_or(host);
    let is_local = |name: &str| name.eq_ignore_ascii_case("localhost");
    is_local(host)
        || host.rsplit_once('.').is_some_and(|(_, last)| is_local(last))
        || host.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn forbidden(what: &'static str) -> Refusal {
    Refusal { code: Code::Forbidden, at: 0, what }
}
