//! Fuzzes `bodies::state_vector`; started by `run.sh`.
#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| sheaf_fuzz::bodies::state_vector(bytes));
