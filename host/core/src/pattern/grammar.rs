//! The grammar of references, to find out whether a glob can match any repository or any tag at all.
//!
//! The grammar is a small automaton over bytes. A glob is matched against it; every byte that makes a difference
//! replaces a wildcard in turn.

use std::collections::HashSet;

/// A state of the automaton.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum GrammarState {
    Host,
    Label {
        dotted: bool,
    },
    LabelDash {
        dotted: bool,
    },
    HostDot,
    /// The number of letters read of `localhost`, the one host name that needs no dot or port.
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

/// One byte of every class that the grammar distinguishes, and the letters of `localhost`.
const ALPHABET: &[u8] = b"a0Z._-:/[]localhst";

/// Returns whether some repository in full form matches the glob.
pub(super) fn is_repository(glob: &str) -> bool {
    can_match(glob.as_bytes(), GrammarState::Host, GrammarState::Path)
}

/// Returns whether some tag matches the glob.
pub(super) fn is_tag(glob: &str) -> bool {
    can_match(glob.as_bytes(), GrammarState::TagStart, GrammarState::Tag)
}

fn can_match(glob: &[u8], start: GrammarState, end: GrammarState) -> bool {
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

/// Returns the states that follow a state after a byte.
fn next(state: GrammarState, byte: u8) -> impl Iterator<Item = GrammarState> {
    let local = match state {
        GrammarState::Host => Some(0),
        GrammarState::Local(letters) => Some(letters),
        _ => None,
    };
    let local =
        local.filter(|letters| LOCALHOST.get(*letters) == Some(&byte)).map(|letters| GrammarState::Local(letters + 1));
    let next = match state {
        GrammarState::TagStart | GrammarState::Tag => in_tag(state, byte),
        GrammarState::Component
        | GrammarState::Path
        | GrammarState::PathDot
        | GrammarState::PathUnderscore
        | GrammarState::PathUnderscores
        | GrammarState::PathDash => in_path(state, byte),
        _ => in_host(state, byte),
    };
    next.into_iter().chain(local)
}

fn in_host(state: GrammarState, byte: u8) -> Option<GrammarState> {
    let is_hex = byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    match (state, byte) {
        (GrammarState::Host, b'[') => Some(GrammarState::AddressStart),
        (GrammarState::Host, byte) if is_alphanumeric(byte) => Some(GrammarState::Label { dotted: false }),
        (GrammarState::HostDot, byte) if is_alphanumeric(byte) => Some(GrammarState::Label { dotted: true }),
        (GrammarState::Label { dotted } | GrammarState::LabelDash { dotted }, byte) if is_alphanumeric(byte) => {
            Some(GrammarState::Label { dotted })
        }
        (GrammarState::Label { dotted } | GrammarState::LabelDash { dotted }, b'-') => {
            Some(GrammarState::LabelDash { dotted })
        }
        (GrammarState::Label { .. }, b'.') => Some(GrammarState::HostDot),
        (GrammarState::AddressStart | GrammarState::Address, byte) if is_hex || byte == b':' => {
            Some(GrammarState::Address)
        }
        (GrammarState::Address, b']') => Some(GrammarState::AddressEnd),
        (GrammarState::Label { .. } | GrammarState::AddressEnd, b':') => Some(GrammarState::PortStart),
        (GrammarState::PortStart | GrammarState::Port, byte) if byte.is_ascii_digit() => Some(GrammarState::Port),
        (GrammarState::Label { dotted: true } | GrammarState::AddressEnd | GrammarState::Port, b'/') => {
            Some(GrammarState::Component)
        }
        (GrammarState::Local(letters), b'/') if letters == LOCALHOST.len() => Some(GrammarState::Component),
        _ => None,
    }
}

fn in_path(state: GrammarState, byte: u8) -> Option<GrammarState> {
    match (state, byte) {
        (_, byte) if is_alphanumeric(byte) => Some(GrammarState::Path),
        (GrammarState::Path, b'/') => Some(GrammarState::Component),
        (GrammarState::Path, b'.') => Some(GrammarState::PathDot),
        (GrammarState::Path, b'_') => Some(GrammarState::PathUnderscore),
        (GrammarState::PathUnderscore, b'_') => Some(GrammarState::PathUnderscores),
        (GrammarState::Path | GrammarState::PathDash, b'-') => Some(GrammarState::PathDash),
        _ => None,
    }
}

fn in_tag(state: GrammarState, byte: u8) -> Option<GrammarState> {
    let word = byte.is_ascii_alphanumeric() || byte == b'_';
    let fits = word || state == GrammarState::Tag && (byte == b'.' || byte == b'-');
    fits.then_some(GrammarState::Tag)
}

fn is_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}
