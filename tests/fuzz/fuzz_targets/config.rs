//! Configs of the shipped plugin: what is refused is refused with reasons.
#![no_main]

use libfuzzer_sys::fuzz_target;
use unused_images::Config;

fuzz_target!(|text: &str| {
    if let Err(problems) = Config::parse(text) {
        assert!(!problems.is_empty());
        assert!(problems.iter().all(|problem| !problem.message.is_empty()));
    }
});
