//! Certificates as files.
