//! The environment.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| exporters_fuzz::environment(data));
