#![no_main]

#[path = "../../tests/hostile/decoders.rs"]
#[allow(dead_code)]
mod decoders;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = decoders::config(bytes);
});
