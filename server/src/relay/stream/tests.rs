//! TLS between two ends in this process.
