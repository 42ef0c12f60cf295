//! The configuration: one tree, from flags over environment over file over defaults.
//!
//! `cli` gathers the [`Sources`]; `app` hands each part its own `Config` made from this one. Never
//! shows a token, not even in the message about a wrong one.

pub mod data;
pub mod keys;
pub mod limits;
pub mod risks;
pub mod watch;

use std::fmt;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use figment::Figment;
use figment::error::Kind;
use figment::providers::{Format, Serialized, Toml};
use figment::value::Value;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use self::limits::Limits;
use crate::app::telemetry;
use crate::auth::base::Base;
use crate::auth::callback::CallbackConfig;
use crate::auth::jwt::JwtConfig;
use crate::auth::users::UserConfig;
use crate::auth::{self, Caps, Rates};
use crate::document;
use crate::history;
use crate::relay::address::{Address, Proxy, UnixMode};
use crate::relay::upgrade::OtherPath;
use crate::relay::{listen, tls};
use crate::vault;
use crate::webhook::config::HookConfig;

/// Where y-websocket's own server listens, so that stock clients find us where they look.
const PORT: u16 = 1234;
/// What the names of environment variables begin with; two underscores go one level down.
const ENVIRONMENT_PREFIX: &str = "SHEAF_";
/// Variables with our prefix that are no keys: they name the file, and tell the commands that talk
/// to a server where it is and who asks.
const NO_KEYS: [&str; 4] = ["CONFIG", "SERVER", "TOKEN", "TOKEN_FILE"];

/// Access for anyone but the owner.
const MODE_OTHERS: u32 = 0o077;

/// The whole configuration.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Addresses to listen on: `127.0.0.1:1234`, `[::1]:1234`, `unix:/run/sheaf/sheaf.sock`, each
    /// with any of the words `proxy` (connections must begin with a PROXY protocol header), `tls`
    /// and `plain` behind it. Absent: `127.0.0.1:1234` and, where there is IPv6, `[::1]:1234`. In
    /// the environment one text with commas.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<Vec<String>>")]
    pub listen: Option<Vec<Address>>,
    /// Addresses, as in `listen`, for metrics, health and administration, which are then served
    /// there and nowhere else. On this machine, unless users are configured.
    #[serde(deserialize_with = "one_or_many")]
    #[schemars(with = "Option<Vec<String>>")]
    pub admin_listen: Option<Vec<Address>>,
    /// Permissions of the unix sockets among these addresses, in octal.
    #[schemars(with = "String")]
    pub unix_mode: UnixMode,
    /// Proxies that are believed about whose a connection or request is, by PROXY protocol,
    /// `X-Forwarded-*` or `Forwarded`: networks, addresses, and `unix` for whoever connects to a
    /// unix socket.
    #[serde(deserialize_with = "many")]
    #[schemars(with = "Vec<String>")]
    pub trusted_proxies: Vec<Proxy>,
    /// The certificate for TLS, which is then spoken on every TCP address that is not marked
    /// `plain`.
    pub tls: Option<tls::Config>,
    /// The directory for everything that is kept. Absent: the user's data home,
    /// `~/.local/share/sheaf` on Linux.
    pub data: Option<PathBuf>,
    /// Host names, besides loopback and the addresses of `listen`, by which requests without a
    /// token may address the server.
    pub hosts: Vec<String>,
    /// Origins, besides the server's own and loopback, whose pages may connect:
    /// `["https://app.example"]`.
    pub origins: Vec<String>,
    /// How clients reach the server: `https://notes.example.org`, with the beginning of a path if
    /// a proxy takes one away. Absent: as each request is addressed.
    pub public_url: Option<Base>,
    /// Paths, besides `/`, at which providers of Hocuspocus find the vault `default`:
    /// `["/collaboration"]`. The room of that name is then reached at
    /// `/v1/vaults/default/docs/collaboration` alone. In the environment one text with commas.
    #[serde(deserialize_with = "many")]
    #[schemars(with = "Vec<String>")]
    pub hocuspocus_paths: Vec<OtherPath>,
    /// Whether requests without a token may read and write.
    pub allow_anonymous: bool,
    /// Who has a token: a table for each.
    pub users: Vec<UserConfig>,
    /// Tokens that somebody else signs.
    pub jwt: JwtConfig,
    /// A server that is asked about tokens that are not known here. Absent: nobody is asked.
    pub auth_callback: Option<CallbackConfig>,
    /// Who is told what happens to documents and sessions: a table for each.
    pub webhooks: Vec<HookConfig>,
    /// What holds for all documents.
    pub documents: document::Config,
    /// How vaults come to be.
    pub vaults: vault::Config,
    /// How long versions of files are kept.
    pub versions: history::keep::Config,
    /// Devices, and how long deleted files are kept for them.
    pub devices: vault::config::Devices,
    /// How much a vault may hold.
    pub quota: document::ledger::Quota,
    /// What is logged, and how.
    pub log: Log,
    /// Traces.
    pub telemetry: telemetry::Config,
    /// Bounds that depend on the machine and its users.
    pub limits: Limits,
}

/// What is logged, and how.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    /// The form of a line.
    pub format: LogFormat,
    /// `error`, `warn`, `info`, `debug`, `trace`, or directives such as `info,sheaf_server=debug`.
    pub level: String,
}

/// The form of a log line.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema, clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// For machines: one JSON object a line.
    Json,
}

impl Default for Log {
    fn default() -> Log {
        Log { format: LogFormat::Text, level: "info".to_owned() }
    }
}

/// Where the configuration comes from; later ones win.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A TOML file.
    pub file: Option<PathBuf>,
    /// Environment variables, ours and others; `SHEAF_CONFIG` names the file and is no key.
    pub environment: Vec<(String, String)>,
    /// What flags say, by key: `limits.connections_max`.
    pub flags: Vec<(&'static str, Value)>,
}

/// Why the configuration cannot be used. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {source}; check --config")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A key that does not exist, or a value that does not fit.
    #[error("the configuration is wrong: {0}. `sheaf serve --help` lists all keys")]
    Wrong(String),
    /// A number that makes no sense.
    #[error("limits.{key} is {value}; it must be {wanted}")]
    OutOfRange {
        /// Which.
        key: &'static str,
        /// As configured.
        value: u64,
        /// What would do.
        wanted: &'static str,
    },
    /// Others could read a token in it.
    #[error(
        "{path} holds a token or secret, and others on this machine can read it. Keep it to \
         yourself:\n\n    chmod 600 {path}\n\nor keep hashes instead: sheaf token hash"
    )]
    Exposed {
        /// Which.
        path: PathBuf,
    },
    /// There is no home to put the data in.
    #[error("no data home for this user; say where to keep data with --data")]
    NoDataHome,
    /// The data directory cannot be used.
    #[error("cannot use the data directory {path}: {why}; give another with --data")]
    Data {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
}

impl Config {
    /// Reads all sources.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn load(sources: &Sources) -> Result<Config, Error> {
        let mut figment = Figment::new();
        if let Some(path) = &sources.file {
            // Opened here, because a missing file is no error to the reader and an empty one to us.
            std::fs::File::open(path)
                .map_err(|source| Error::Unreadable { path: path.clone(), source })?;
            figment = figment.merge(Toml::file_exact(path));
        }
        for (key, value) in &sources.environment {
            let Some(key) = key.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
            if NO_KEYS.contains(&key) {
                continue;
            }
            let key = key.to_ascii_lowercase().replace("__", ".");
            let value: Value = value.parse().unwrap_or_else(|never| match never {});
            figment = figment.merge(Serialized::default(&key, value));
        }
        for (key, value) in &sources.flags {
            figment = figment.merge(Serialized::default(key, value));
        }
        let config: Config = figment.extract().map_err(|error| Error::Wrong(told(error)))?;
        config.limits.check()?;
        if let Some(path) = &sources.file {
            check_secret(path)?;
        }
        Ok(config)
    }

    /// Whether it holds a secret in plain text, besides hashes.
    #[must_use]
    pub fn shows_secret(&self) -> bool {
        let callback = self.auth_callback.as_ref();
        self.users.iter().any(UserConfig::is_plain)
            || self.jwt.is_plain()
            || callback.is_some_and(|callback| callback.secret.is_some())
            || self.webhooks.iter().any(HookConfig::has_secrets)
    }

    /// The addresses to listen on, as configured or by default.
    #[must_use]
    pub fn addresses(&self) -> Vec<Address> {
        self.listen.clone().unwrap_or_else(|| {
            vec![([127, 0, 0, 1], PORT).into(), ([0, 0, 0, 0, 0, 0, 0, 1], PORT).into()]
        })
    }

    /// The data directory, as configured or by default. It need not exist.
    ///
    /// # Errors
    /// `NoDataHome` for a user without one.
    pub fn data_dir(&self) -> Result<PathBuf, Error> {
        let by_default = || {
            let dirs = directories::ProjectDirs::from("", "", "sheaf").ok_or(Error::NoDataHome)?;
            Ok(dirs.data_dir().to_owned())
        };
        self.data.clone().map_or_else(by_default, Ok)
    }

    /// What `auth` needs.
    #[must_use]
    pub fn auth(&self) -> auth::Config {
        auth::Config {
            users: self.users.clone(),
            allow_anonymous: self.allow_anonymous,
            hosts: self.hosts.clone(),
            origins: self.origins.clone(),
            listen: self.all_addresses().iter().filter_map(Address::tcp).collect(),
            admin_elsewhere: self.admin_elsewhere(),
            has_proxies: !self.trusted_proxies.is_empty(),
            caps: Caps {
                per_principal_max: self.limits.sessions_per_user_max,
                per_vault_max: self.limits.sessions_per_vault_max,
                per_address_max: self.limits.sessions_per_address_max,
            },
            jwt: self.jwt.clone(),
            callback: self.auth_callback.clone(),
            rates: Rates {
                requests_per_address_per_s: self.limits.rate_requests_per_address_per_s,
                requests_per_user_per_s: self.limits.rate_requests_per_user_per_s,
                sessions_per_vault_per_s: self.limits.rate_sessions_per_vault_per_s,
                failures_per_address_per_min: self.limits.rate_failures_per_address_per_min,
            },
        }
    }

    /// The first address of `admin_listen` that other machines can reach.
    #[must_use]
    pub fn admin_elsewhere(&self) -> Option<SocketAddr> {
        self.admin_listen.iter().flatten().filter(|it| it.is_elsewhere()).find_map(Address::tcp)
    }

    fn all_addresses(&self) -> Vec<Address> {
        let admin = self.admin_listen.iter().flatten().cloned();
        self.addresses().into_iter().chain(admin).collect()
    }

    /// What `relay::listen` needs, before the certificate is read and `auth` has said how open
    /// the server is.
    #[must_use]
    pub fn accept_loop(&self) -> listen::Config {
        listen::Config {
            listen: self.addresses(),
            admin_listen: self.admin_listen.clone().unwrap_or_default(),
            is_ipv6_optional: self.listen.is_none(),
            openness: listen::Openness::Machine,
            unix_mode: self.unix_mode.0,
            trusted_proxies: self.trusted_proxies.clone(),
            tls: None,
            connections_max: self.limits.connections_max,
            connections_per_address_max: self.limits.connections_per_address_max,
            header_time_max: Duration::from_secs(self.limits.header_timeout_s),
        }
    }
}

/// Refuses a file that shows a secret to others than its owner.
fn check_secret(path: &Path) -> Result<(), Error> {
    let unreadable = |source| Error::Unreadable { path: path.to_owned(), source };
    let mode = std::fs::metadata(path).map_err(unreadable)?.permissions().mode();
    if mode & MODE_OTHERS == 0 {
        return Ok(());
    }
    // What the file itself says: a secret from the environment is none of its business.
    let own = Figment::new().merge(Toml::file_exact(path)).extract::<Config>();
    if own.is_ok_and(|own| own.shows_secret()) {
        return Err(Error::Exposed { path: path.to_owned() });
    }
    Ok(())
}

/// All mistakes at once, with key and source. Values under `users` may be secrets and are left out.
fn told(errors: figment::Error) -> String {
    let tell = |error: figment::Error| {
        let key = error.path.join(".");
        let is_secret = ["users", "jwt", "auth_callback"].iter().any(|it| key.starts_with(it));
        let is_hidden = key.starts_with("webhooks")
            && ["secret", "headers"].iter().any(|word| key.contains(word));
        let what = match &error.kind {
            Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) if is_secret => {
                format!("expected {expected}")
            }
            Kind::Message(_) | Kind::UnknownVariant(..) if is_secret => {
                "expected name, token or token_hash (text in quotes), role (read, write or admin) \
                 and perhaps vaults and paths"
                    .to_owned()
            }
            Kind::InvalidType(_, expected) | Kind::InvalidValue(_, expected) if is_hidden => {
                format!("expected {expected}")
            }
            kind => kind.to_string(),
        };
        let place = error.metadata.as_ref().and_then(|it| it.source.as_ref()).map(place);
        format!("{key}: {what}{}", place.unwrap_or_default())
    };
    errors.into_iter().map(tell).collect::<Vec<_>>().join("; ")
}

fn place(source: &figment::Source) -> String {
    source.file_path().map(|path: &Path| format!(" (in {})", path.display())).unwrap_or_default()
}

/// Values as a list, as one, or as one text with commas, which is all the environment can say
/// without quotes.
fn one_or_many<'de, D, T>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Values {
        Text(String),
        List(Vec<String>),
    }
    let list = match Option::<Values>::deserialize(deserializer)? {
        None => return Ok(None),
        Some(Values::Text(text)) => text.split(',').map(|it| it.trim().to_owned()).collect(),
        Some(Values::List(list)) => list,
    };
    let parse = |text: String| text.parse().map_err(serde::de::Error::custom);
    list.into_iter().map(parse).collect::<Result<_, _>>().map(Some)
}

fn many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err: fmt::Display>,
{
    one_or_many(deserializer).map(Option::unwrap_or_default)
}

#[cfg(test)]
mod tests;
