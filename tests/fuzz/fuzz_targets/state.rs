//! States of a node: eight bytes of the time of reading, then the text. What is taken reads back as the same and knows
//! no time later than now.
#![no_main]

use holystone_core::document::DocumentKind;
use holystone_core::manifest::ApiVersion;
use holystone_core::snapshot::{Memory, Node, Snapshot};
use holystone_core::state::{Read, State};
use jiff::Timestamp;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((seconds, text)) = bytes.split_first_chunk::<8>() else { return };
    let Ok(now) = Timestamp::from_second(i64::from_le_bytes(*seconds)) else { return };
    let Ok(Read { mut state, .. }) = State::from_json(text) else { return };
    let written = state.to_json().expect("a state can be written");
    let again = State::from_json(&written).expect("and read back");
    assert_eq!(again.state, state);
    let mut nothing = Snapshot {
        api_version: ApiVersion::V1Alpha1,
        kind: DocumentKind::Snapshot,
        taken_at: now,
        node: Node { runtime_name: "fuzz".to_owned(), ..Node::default() },
        filesystems: Vec::new(),
        images: Vec::new(),
        containers: Vec::new(),
        sandboxes: Vec::new(),
        outside: Vec::new(),
        memory: Memory::default(),
    };
    state.observe(&mut nothing);
    assert!(state.images.is_empty() && state.own_images.is_empty() && state.under_way.is_none());
    assert!(nothing.memory.since.is_some_and(|since| since <= now));
});
