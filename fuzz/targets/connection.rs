//! The state machine of a client's connection: the input is a script of what both ends do.
#![no_main]

libfuzzer_sys::fuzz_target!(|script: &[u8]| {
    bus_tests::connection_driver::drive(script);
});
