#![no_main]

libfuzzer_sys::fuzz_target!(
    init: tidegate_fuzz::lay_down(tidegate_fuzz::target("component")),
    |bytes: &[u8]| (tidegate_fuzz::target("component").read)(bytes)
);
