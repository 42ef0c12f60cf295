//! Names, aliases, quotas.
