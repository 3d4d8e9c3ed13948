//! Whether a glob can match anything at all: whether some repository, or some tag, is spelt like it.
//!
//! The grammar of references is a small automaton over bytes. A glob is walked through it, with every byte that makes a
//! difference in the place of a wildcard.

use std::collections::HashSet;

/// A place in the grammar.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum State {
    Host,
    Label {
        dotted: bool,
    },
    LabelDash {
        dotted: bool,
    },
    HostDot,
    /// So many letters of `localhost`, the one host without a dot or port.
    Local(usize),
    AddressStart,
    Address,
    AddressEnd,
    PortStart,
    Port,
    Component,
    Path,
    PathDot,
    PathUnderscore,
    PathUnderscores,
    PathDash,
    TagStart,
    Tag,
}

const LOCALHOST: &[u8] = b"localhost";

/// Of every class of bytes that the grammar tells apart, one; and the letters of `localhost`.
const ALPHABET: &[u8] = b"a0Z._-:/[]localhst";

/// Whether some repository in full form matches the glob.
pub(super) fn is_repository(glob: &str) -> bool {
    can_match(glob.as_bytes(), State::Host, State::Path)
}

/// Whether some tag matches the glob.
pub(super) fn is_tag(glob: &str) -> bool {
    can_match(glob.as_bytes(), State::TagStart, State::Tag)
}

fn can_match(glob: &[u8], start: State, end: State) -> bool {
    let mut seen = HashSet::from([(0, start)]);
    let mut open = vec![(0, start)];
    while let Some((at, state)) = open.pop() {
        let Some(byte) = glob.get(at) else {
            if state == end {
                return true;
            }
            continue;
        };
        let bytes = if is_wildcard(*byte) { ALPHABET } else { std::slice::from_ref(byte) };
        let after = if *byte == b'*' { at } else { at + 1 };
        let taken = bytes.iter().flat_map(|byte| next(state, *byte)).map(|state| (after, state));
        let skipped = (*byte == b'*').then_some((at + 1, state));
        for step in taken.chain(skipped) {
            if seen.insert(step) {
                open.push(step);
            }
        }
    }
    false
}

fn is_wildcard(byte: u8) -> bool {
    byte == b'*' || byte == b'?'
}

/// Where a byte leads from a state.
fn next(state: State, byte: u8) -> impl Iterator<Item = State> {
    let local = match state {
        State::Host => Some(0),
        State::Local(letters) => Some(letters),
        _ => None,
    };
    let local = local.filter(|letters| LOCALHOST.get(*letters) == Some(&byte)).map(|letters| State::Local(letters + 1));
    let next = match state {
        State::TagStart | State::Tag => in_tag(state, byte),
        State::Component
        | State::Path
        | State::PathDot
        | State::PathUnderscore
        | State::PathUnderscores
        | State::PathDash => in_path(state, byte),
        _ => in_host(state, byte),
    };
    next.into_iter().chain(local)
}

fn in_host(state: State, byte: u8) -> Option<State> {
    let is_hex = byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    match (state, byte) {
        (State::Host, b'[') => Some(State::AddressStart),
        (State::Host, byte) if is_alphanumeric(byte) => Some(State::Label { dotted: false }),
        (State::HostDot, byte) if is_alphanumeric(byte) => Some(State::Label { dotted: true }),
        (State::Label { dotted } | State::LabelDash { dotted }, byte) if is_alphanumeric(byte) => {
            Some(State::Label { dotted })
        }
        (State::Label { dotted } | State::LabelDash { dotted }, b'-') => Some(State::LabelDash { dotted }),
        (State::Label { .. }, b'.') => Some(State::HostDot),
        (State::AddressStart | State::Address, byte) if is_hex || byte == b':' => Some(State::Address),
        (State::Address, b']') => Some(State::AddressEnd),
        (State::Label { .. } | State::AddressEnd, b':') => Some(State::PortStart),
        (State::PortStart | State::Port, byte) if byte.is_ascii_digit() => Some(State::Port),
        (State::Label { dotted: true } | State::AddressEnd | State::Port, b'/') => Some(State::Component),
        (State::Local(letters), b'/') if letters == LOCALHOST.len() => Some(State::Component),
        _ => None,
    }
}

fn in_path(state: State, byte: u8) -> Option<State> {
    match (state, byte) {
        (_, byte) if is_alphanumeric(byte) => Some(State::Path),
        (State::Path, b'/') => Some(State::Component),
        (State::Path, b'.') => Some(State::PathDot),
        (State::Path, b'_') => Some(State::PathUnderscore),
        (State::PathUnderscore, b'_') => Some(State::PathUnderscores),
        (State::Path | State::PathDash, b'-') => Some(State::PathDash),
        _ => None,
    }
}

fn in_tag(state: State, byte: u8) -> Option<State> {
    let word = byte.is_ascii_alphanumeric() || byte == b'_';
    let fits = word || state == State::Tag && (byte == b'.' || byte == b'-');
    fits.then_some(State::Tag)
}

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}
