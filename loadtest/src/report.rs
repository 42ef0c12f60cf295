//! What came of the runs: a table for people, lines of JSON for comparisons.

pub(crate) mod table;
