//! A replica of a Sheaf document.
