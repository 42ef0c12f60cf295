//! The Sheaf server as a library.
