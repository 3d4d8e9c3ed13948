use super::{check_bytes, digest};
use crate::error::Reason;

#[test]
fn only_the_preamble_of_a_component_passes() {
    assert_eq!(check_bytes(b"\0asm\x0d\0\x01\0"), Ok(()));
    for bytes in [&b""[..], b"\0asm", b"\0asm\x01\0\0\0", b"\x7fELF", b"(component)", b"hello", b"\0asm\x0d\0\x02\0"] {
        assert_eq!(check_bytes(bytes).unwrap_err().0, Reason::NotAComponent, "{bytes:?}");
    }
}

#[test]
fn digests_are_those_of_the_bytes() {
    // FIPS 180-2, appendix B.1.
    assert_eq!(digest(b"abc"), "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}
