//! Manifests: what is refused is refused with reasons, what is taken has a meaning.
#![no_main]

use holystone_core::manifest::{Text, from_value, read};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match read(&[Text { origin: "fuzz", text, skips_others: false }]) {
        Err(problems) => assert!(!problems.is_empty() && problems.iter().all(|problem| !problem.to_string().is_empty())),
        Ok(found) => {
            for one in found {
                one.manifest.timetable().expect("a schedule that was checked");
                let _ = (one.manifest.rails(), one.manifest.pressure(), one.manifest.history());
                let written = serde_json::to_value(&one.manifest).expect("a manifest can be written");
                assert_eq!(from_value(&written).expect("and read back"), one.manifest);
            }
        }
    }
});
