//! Image references and patterns: a pattern on the first line, a reference on the second.
#![no_main]

use holystone_core::pattern::Pattern;
use holystone_core::reference::Reference;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (first, second) = text.split_once('\n').unwrap_or((text, text));
    let reference = Reference::parse(second);
    if let Ok(reference) = &reference {
        let full = reference.to_string();
        assert_eq!(Reference::parse(&full).as_ref(), Ok(reference), "the full form means the same");
        if let Ok(pattern) = full.parse::<Pattern>() {
            assert!(pattern.matches_reference(reference), "{full} matches itself");
        }
    }
    if let Ok(pattern) = first.parse::<Pattern>() {
        assert_eq!(pattern.to_string().parse(), Ok(pattern.clone()), "a pattern remembers how it was written");
        let matches = pattern.matches_text(second);
        if let Ok(reference) = &reference {
            assert_eq!(matches, pattern.matches_reference(reference));
        }
    }
    let everything: Pattern = "*".parse().expect("a pattern");
    assert!(everything.matches_text(second));
});
