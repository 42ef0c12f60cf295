//! The cryptography under every TLS connection that is made.
//!
//! Job: choose it, once for the process. Called by whoever is about to make a client: `app`,
//! `auth`, `cli`, and tests of `webhook`. Never chosen again: what is chosen first is used by all.

/// Chooses it, if nobody in this process has.
pub fn choose() {
    // Fails where it is chosen already: by another part, or by another server, in tests.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
