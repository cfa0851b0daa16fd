#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| millpond::wire::fuzzing::proxy_header(bytes));
