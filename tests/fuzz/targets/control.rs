//! Fuzzes `bodies::control`; started by `run.sh`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sheaf_fuzz::bodies::control(bytes));
