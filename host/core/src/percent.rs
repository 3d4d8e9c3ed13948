//! Shares of disks and of limits in percent, rounded up as `df` does: at 85.1 % a disk is above 85, and what is not empty is
//! not at 0.

/// Says how many percent of the whole a part is, rounded up; nothing of a whole of nothing.
pub fn rounded_up(part: u64, whole: u64) -> Option<u64> {
    let percent = (u128::from(part) * 100).checked_add(u128::from(whole).checked_sub(1)?)?.checked_div(whole.into())?;
    Some(u64::try_from(percent).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::rounded_up;

    #[test]
    fn a_share_is_rounded_up_and_never_overflows() {
        for (part, whole, percent) in
            [(0, 1, 0), (1, 1_000, 1), (850, 1_000, 85), (851, 1_000, 86), (1_000, 1_000, 100), (3, 2, 150)]
        {
            assert_eq!(rounded_up(part, whole), Some(percent), "{part} of {whole}");
        }
        assert_eq!(rounded_up(1, 0), None);
        assert_eq!(rounded_up(u64::MAX, u64::MAX), Some(100));
        assert_eq!(rounded_up(u64::MAX, 1), Some(u64::MAX));
    }
}
