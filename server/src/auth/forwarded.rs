//! What a trusted proxy says about a request: whose it is, and how it was addressed.
//!
//! `relay::listen` reads it from requests that come through a configured proxy and leaves it among
//! the request's extensions for the rule of `site`. Never believes anybody else.

use std::net::{IpAddr, SocketAddr};

use hyper::http::{HeaderMap, HeaderName, HeaderValue, header};

const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Hops that are looked at: nobody has so many proxies, and each costs a comparison.
const HOPS_MAX: usize = 32;

/// A request as its proxy saw it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// The nearest hop that is no trusted proxy; none if the proxy does not say.
    pub client: Option<IpAddr>,
    /// What the client sent as `Host`.
    pub host: Option<String>,
    /// Whether the client speaks TLS with the proxy.
    pub is_tls: Option<bool>,
}

impl Forwarded {
    /// Reads the headers of a request that comes from a trusted proxy: those beginning with
    /// `X-Forwarded-`, or `Forwarded` (RFC 7239) where all of those are absent. A proxy that sets
    /// one kind passes the other on as the client sent it.
    #[must_use]
    pub fn of(headers: &HeaderMap, is_trusted: impl Fn(IpAddr) -> bool) -> Forwarded {
        let has_own = headers.keys().any(|name| name.as_str().starts_with("x-forwarded-"));
        if !has_own {
            return standard(headers, &is_trusted);
        }
        let mut told = Forwarded::default();
        let hops: Vec<Option<IpAddr>> = words(headers, &FOR).map(address).collect();
        if !hops.is_empty() {
            told.client = nearest(hops, &is_trusted);
        }
        // The last value is the nearest proxy's own.
        if let Some(host) = words(headers, &HOST).last() {
            told.host = Some(host.to_owned());
        }
        if let Some(proto) = words(headers, &PROTO).last() {
            told.is_tls = Some(is_secure(proto));
        }
        told
    }
}

/// RFC 7239: elements by commas, each `name=value` by semicolons, values quoted or not.
fn standard(headers: &HeaderMap, is_trusted: &impl Fn(IpAddr) -> bool) -> Forwarded {
    let mut hops = Vec::new();
    let mut told = Forwarded::default();
    for element in words(headers, &header::FORWARDED) {
        for pair in element.split(';') {
            let Some((name, value)) = pair.trim().split_once('=') else { continue };
            let value = value.trim().trim_matches('"');
            match name.to_ascii_lowercase().as_str() {
                "for" => hops.push(address(value)),
                "host" => told.host = Some(value.to_owned()),
                "proto" => told.is_tls = Some(is_secure(value)),
                _ => {}
            }
        }
    }
    told.client = nearest(hops, is_trusted);
    told
}

/// From the right, the first hop that is no trusted proxy. One that is no address (`unknown`, an
/// obfuscated name) hides all before it.
fn nearest(hops: Vec<Option<IpAddr>>, is_trusted: &impl Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let mut client = None;
    for hop in hops.into_iter().rev().take(HOPS_MAX) {
        client = Some(hop?);
        if !client.is_some_and(is_trusted) {
            break;
        }
    }
    client
}

/// An address with or without a port, an IPv6 one with or without brackets.
fn address(hop: &str) -> Option<IpAddr> {
    let bare = || hop.trim_start_matches('[').trim_end_matches(']').parse().ok();
    let address = hop.parse::<SocketAddr>().ok().map(|address| address.ip()).or_else(bare);
    address.map(|address| address.to_canonical())
}

fn is_secure(proto: &str) -> bool {
    proto.eq_ignore_ascii_case("https") || proto.eq_ignore_ascii_case("wss")
}

/// All values of a header that lists, in order. One that is not text is empty.
fn words<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a str> {
    let text = |value: &'a HeaderValue| value.to_str().unwrap_or_default();
    headers.get_all(name).into_iter().map(text).flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests;
