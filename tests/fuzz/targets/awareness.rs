//! Fuzzes `bodies::awareness`; started by `run.sh`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sheaf_fuzz::bodies::awareness(bytes));
