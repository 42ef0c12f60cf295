//! Where to listen, and whom to believe about where a request came from, as written in the
//! configuration.
//!
//! `config` reads these and `listen` acts on them. Never resolves a name: addresses are numbers.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One address to listen on, with how it is spoken there: `127.0.0.1:1234`, `[::1]:1234`,
/// `unix:/run/sheaf/sheaf.sock`, each with any of the words `proxy`, `tls`, `plain` behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct Address {
    /// The place itself.
    pub place: Place,
    /// Whether TLS is spoken. Unsaid: wherever a certificate is configured, but for unix sockets
    /// and for the admin listener on loopback.
    pub tls: Option<bool>,
    /// Whether every connection must begin with a PROXY protocol header.
    pub has_proxy_header: bool,
}

/// Something to bind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Port 0 takes a free one.
    Tcp(SocketAddr),
    /// A path.
    Unix(PathBuf),
}

/// Text that is no address to listen on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no address; write it as 127.0.0.1:1234, [::1]:1234 or unix:/run/sheaf.sock, with \
     the words proxy, tls or plain behind it where they are meant"
)]
pub struct BadAddress(String);

impl Address {
    /// The TCP address; none for a unix socket.
    #[must_use]
    pub fn tcp(&self) -> Option<SocketAddr> {
        match &self.place {
            Place::Tcp(address) => Some(*address),
            Place::Unix(_) => None,
        }
    }

    /// Whether other machines can reach it.
    #[must_use]
    pub fn is_elsewhere(&self) -> bool {
        self.tcp().is_some_and(|address| !address.ip().to_canonical().is_loopback())
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address { place: Place::Tcp(address), tls: None, has_proxy_header: false }
    }
}

impl From<([u8; 4], u16)> for Address {
    fn from(address: ([u8; 4], u16)) -> Address {
        SocketAddr::from(address).into()
    }
}

impl From<([u16; 8], u16)> for Address {
    fn from(address: ([u16; 8], u16)) -> Address {
        SocketAddr::from(address).into()
    }
}

impl FromStr for Address {
    type Err = BadAddress;

    fn from_str(text: &str) -> Result<Address, BadAddress> {
        let bad = || BadAddress(text.to_owned());
        let mut words = text.split_whitespace();
        let place = words.next().ok_or_else(bad)?;
        let place = match place.strip_prefix("unix:") {
            Some("") => return Err(bad()),
            Some(path) => Place::Unix(path.into()),
            None => Place::Tcp(place.parse().map_err(|_| bad())?),
        };
        let mut address = Address { place, tls: None, has_proxy_header: false };
        for word in words {
            match word {
                "proxy" => address.has_proxy_header = true,
                "tls" if address.tls != Some(false) => address.tls = Some(true),
                "plain" if address.tls != Some(true) => address.tls = Some(false),
                _ => return Err(bad()),
            }
        }
        Ok(address)
    }
}

impl TryFrom<String> for Address {
    type Error = BadAddress;

    fn try_from(text: String) -> Result<Address, BadAddress> {
        text.parse()
    }
}

impl From<Address> for String {
    fn from(address: Address) -> String {
        address.to_string()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.place)?;
        match self.tls {
            Some(true) => f.write_str(" tls")?,
            Some(false) => f.write_str(" plain")?,
            None => {}
        }
        if self.has_proxy_header { f.write_str(" proxy") } else { Ok(()) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Tcp(address) => write!(f, "{address}"),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Permissions of a unix socket, in octal as `chmod` takes them: `"0660"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct UnixMode(pub u32);

/// Text that is no such permissions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} are no permissions; write them in octal, as in \"0660\"")]
pub struct BadMode(String);

impl Default for UnixMode {
    /// For the user and group of the server: a proxy that is to come in joins the group.
    fn default() -> UnixMode {
        UnixMode(0o660)
    }
}

impl TryFrom<String> for UnixMode {
    type Error = BadMode;

    fn try_from(text: String) -> Result<UnixMode, BadMode> {
        let mode = u32::from_str_radix(&text, 8).ok().filter(|mode| *mode <= 0o777);
        mode.map(UnixMode).ok_or(BadMode(text))
    }
}

impl From<UnixMode> for String {
    fn from(mode: UnixMode) -> String {
        format!("{:04o}", mode.0)
    }
}

/// Who may say where a request came from: a network, one address, or `unix` for whoever connects
/// to a unix socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub enum Proxy {
    /// From these addresses.
    Network(IpNet),
    /// Through a unix socket.
    Unix,
}

/// Text that names no proxy.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no proxy; write it as 10.0.0.0/8, as 192.0.2.7, or as unix")]
pub struct BadProxy(String);

impl FromStr for Proxy {
    type Err = BadProxy;

    fn from_str(text: &str) -> Result<Proxy, BadProxy> {
        if text == "unix" {
            return Ok(Proxy::Unix);
        }
        let network = text.parse::<IpNet>().ok();
        let network = network.or_else(|| text.parse::<IpAddr>().ok().map(IpNet::from));
        network.map(Proxy::Network).ok_or_else(|| BadProxy(text.to_owned()))
    }
}

impl TryFrom<String> for Proxy {
    type Error = BadProxy;

    fn try_from(text: String) -> Result<Proxy, BadProxy> {
        text.parse()
    }
}

impl From<Proxy> for String {
    fn from(proxy: Proxy) -> String {
        proxy.to_string()
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Proxy::Network(network) => write!(f, "{network}"),
            Proxy::Unix => f.write_str("unix"),
        }
    }
}

/// Whether `address`, none for the other end of a unix socket, is one of these proxies.
#[must_use]
pub fn is_trusted(proxies: &[Proxy], address: Option<IpAddr>) -> bool {
    proxies.iter().any(|proxy| match (proxy, address) {
        (Proxy::Unix, None) => true,
        (Proxy::Network(network), Some(address)) => network.contains(&address.to_canonical()),
        _ => false,
    })
}

#[cfg(test)]
mod tests;
