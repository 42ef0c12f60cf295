//! TLS: a certificate and its key, read from two files and read again on demand.
//!
//! `app` loads one at start and hands it to `listen`; whoever notices that the files have changed
//! calls [`Tls::reload`]. Never replaces a certificate that works by one that does not.

mod validity;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{InconsistentKeys, ServerConfig};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsAcceptor;

use self::validity::Validity;
use super::stream::Stream;
use crate::metrics::Metrics;
use sheaf_ground::time::Clock;

/// A certificate with fewer days left is worth a warning at each start and reload.
const DAYS_LEFT_WARNED: u64 = 7;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// Where the certificate is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// A PEM file with the server's certificate and, behind it, those that lead to its root.
    pub cert_file: PathBuf,
    /// A PEM file with the certificate's private key, not encrypted.
    pub key_file: PathBuf,
}

impl Config {
    /// The files to watch for changes.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.cert_file, &self.key_file].into_iter()
    }
}

/// Why TLS cannot be spoken. Each message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file that cannot be read.
    #[error("cannot read {key} = {path}: {source}; check the path and who may read it")]
    Unreadable {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file without what it should hold.
    #[error("{key} = {path} holds no {wanted} in PEM form: {why}")]
    NotPem {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What it should hold.
        wanted: &'static str,
        /// What is wrong.
        why: String,
    },
    /// Two files that do not belong together.
    #[error(
        "the key in {key_file} does not fit the certificate in {cert_file}; the server's own \
         certificate must come first in that file, and the key must be the one it was made for"
    )]
    Mismatch {
        /// The certificate's file.
        cert_file: PathBuf,
        /// The key's file.
        key_file: PathBuf,
    },
    /// Something else about them.
    #[error("the certificate in {cert_file} cannot be used: {why}")]
    Unusable {
        /// The certificate's file.
        cert_file: PathBuf,
        /// What is wrong.
        why: String,
    },
}

/// A server's side of TLS. Shared; a reload is seen by the next handshake.
#[derive(Debug)]
pub struct Tls {
    clock: Clock,
    metrics: Arc<Metrics>,
    current: ArcSwap<ServerConfig>,
}

impl Tls {
    /// Reads both files.
    ///
    /// # Errors
    /// See [`Error`]. A certificate that has expired is no error, but a warning in the log.
    pub fn load(files: &Config, clock: Clock, metrics: Arc<Metrics>) -> Result<Tls, Error> {
        let current = ArcSwap::from_pointee(read(files, &clock, &metrics)?);
        Ok(Tls { clock, metrics, current })
    }

    /// Reads both files again, or others. Connections that stand keep what they have.
    ///
    /// # Errors
    /// See [`Error`]; the certificate stays what it was.
    pub fn reload(&self, files: &Config) -> Result<(), Error> {
        self.current.store(Arc::new(read(files, &self.clock, &self.metrics)?));
        tracing::info!(cert_file = %files.cert_file.display(), "the certificate was read again");
        Ok(())
    }

    /// Shakes hands. Takes as long as the peer does.
    ///
    /// # Errors
    /// The peer left, or does not speak TLS 1.2 or 1.3 with HTTP/1.1 inside.
    pub async fn accept(&self, socket: Stream) -> io::Result<Stream> {
        let acceptor = TlsAcceptor::from(self.current.load_full());
        let (socket, connection) = acceptor.accept(socket).await?.into_inner();
        Ok(Stream::tls(socket, connection))
    }
}

fn read(files: &Config, clock: &Clock, metrics: &Metrics) -> Result<ServerConfig, Error> {
    let (cert_file, key_file) = (&files.cert_file, &files.key_file);
    let open = |key, path: &Path| {
        std::fs::read(path).map_err(|source| Error::Unreadable {
            key,
            path: path.to_owned(),
            source,
        })
    };
    let certs = CertificateDer::pem_slice_iter(&open("tls.cert_file", cert_file)?)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| not_pem("tls.cert_file", cert_file, "certificate", &error))?;
    let first = certs.first().ok_or_else(|| {
        not_pem("tls.cert_file", cert_file, "certificate", &pem::Error::NoItemsFound)
    })?;
    let validity = Validity::of(first);
    warn_about_time(validity, cert_file, clock);
    let key = PrivateKeyDer::from_pem_slice(&open("tls.key_file", key_file)?)
        .map_err(|error| not_pem("tls.key_file", key_file, "private key", &error))?;
    let unusable = |why: rustls::Error| match why {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            Error::Mismatch { cert_file: cert_file.clone(), key_file: key_file.clone() }
        }
        why => Error::Unusable { cert_file: cert_file.clone(), why: why.to_string() },
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(unusable)?
        .with_no_client_auth()
        .with_single_cert(certs, key)
        .map_err(unusable)?;
    // Nothing else is spoken behind it: a WebSocket begins as HTTP/1.1.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // A storm of reconnects is cheaper by tickets, which cost us no memory.
    config.ticketer = ring::Ticketer::new().map_err(unusable)?;
    config.send_tls13_tickets = 1;
    let expiry_s = validity.map_or(0, |validity| validity.until_ms / 1000);
    metrics.listen.certificate_expiry.set(expiry_s);
    Ok(config)
}

fn not_pem(key: &'static str, path: &Path, wanted: &'static str, error: &pem::Error) -> Error {
    Error::NotPem { key, path: path.to_owned(), wanted, why: error.to_string() }
}

fn warn_about_time(validity: Option<Validity>, file: &Path, clock: &Clock) {
    let file = file.display();
    let Some(Validity { from_ms, until_ms }) = validity else {
        return tracing::warn!(%file, "the certificate does not say how long it is valid");
    };
    let now = clock.now_ms();
    if now > until_ms {
        tracing::warn!(%file, "the certificate has expired: clients will refuse it; renew it");
    } else if now < from_ms {
        tracing::warn!(%file, "the certificate is not valid yet: check this machine's clock");
    } else if until_ms - now < DAYS_LEFT_WARNED * DAY_MS {
        let days = (until_ms - now) / DAY_MS;
        tracing::warn!(%file, days, "the certificate expires soon; renew it");
    }
}

#[cfg(test)]
mod tests;
