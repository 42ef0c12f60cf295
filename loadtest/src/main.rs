//! The `sheaf-loadtest` binary.

fn main() {}
