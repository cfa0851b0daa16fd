#![no_main]
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| millpond::backend::login::fuzzing::login(bytes));
