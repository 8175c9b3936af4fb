//! Records, as replay reads them.

#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| exporters_fuzz::record(data));
