//! Random numbers that are the same for the same seed, on every machine and with every version of a library.

/// A `SplitMix64` generator, begun with its seed.
#[derive(Debug)]
pub struct Dice(pub u64);

impl Dice {
    /// Returns the next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a byte.
    pub fn byte(&mut self) -> u8 {
        self.roll().to_le_bytes()[0]
    }

    /// Returns a number below `end`, which is not zero.
    ///
    /// # Panics
    /// When `end` is zero.
    #[expect(clippy::cast_possible_truncation, reason = "it is less than a usize")]
    pub fn below(&mut self, end: usize) -> usize {
        (self.roll() % end as u64) as usize
    }
}
