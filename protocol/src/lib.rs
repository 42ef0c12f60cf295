//! What both ends of Sheaf must agree on, byte for byte. No tokio, no yrs, no I/O.
