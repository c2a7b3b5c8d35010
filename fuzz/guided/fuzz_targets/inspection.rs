#![no_main]

libfuzzer_sys::fuzz_target!(
    init: tidegate_fuzz::lay_down(tidegate_fuzz::target("inspection")),
    |bytes: &[u8]| (tidegate_fuzz::target("inspection").read)(bytes)
);
