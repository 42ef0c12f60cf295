//! Vaults and their feeds.
