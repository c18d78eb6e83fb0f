//! The numbers that Python's `random.Random(seed)` gives: the workloads were first written by a Python program, and are
//! the same here to the byte.

use rand_mt::Mt;

/// Python's generator: a Mersenne Twister, and how numbers below a bound are made of its words.
pub(crate) struct Random(Mt);

impl Random {
    /// As `random.Random(seed)`.
    pub(crate) fn new(seed: u32) -> Self {
        Self(Mt::new_with_key([seed]))
    }

    /// As `getrandbits(64)`: the first word is the lower one.
    pub(crate) fn bits64(&mut self) -> u64 {
        let low = u64::from(self.0.next_u32());
        low | u64::from(self.0.next_u32()) << 32
    }

    /// As `getrandbits(128)`.
    pub(crate) fn bits128(&mut self) -> u128 {
        let low = u128::from(self.bits64());
        low | u128::from(self.bits64()) << 64
    }

    /// As `randrange(bound)`, for a bound from 1 on: words of as many bits as the bound has, until one is below it.
    pub(crate) fn below(&mut self, bound: u32) -> u32 {
        let unused = bound.leading_zeros();
        loop {
            let word = self.0.next_u32() >> unused;
            if word < bound {
                return word;
            }
        }
    }

    /// As `sample(range(bound), 3)`, for a bound above 21: below that Python goes another way.
    pub(crate) fn three_of(&mut self, bound: u32) -> [u32; 3] {
        let first = self.below(bound);
        let second = self.other(bound, &[first]);
        [first, second, self.other(bound, &[first, second])]
    }

    fn other(&mut self, bound: u32, taken: &[u32]) -> u32 {
        loop {
            let number = self.below(bound);
            if !taken.contains(&number) {
                return number;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Random;

    /// From Python 3.11: `r = random.Random(7)`, then the calls.
    #[test]
    fn the_numbers_are_those_of_python() {
        let mut random = Random::new(7);
        assert_eq!([(); 4].map(|()| random.below(50)), [20, 9, 25, 41]);
        assert_eq!(random.bits64(), 0x128b_2f33_0c5c_7fd0);
        assert_eq!(random.bits128(), 0x5d9d_c9f8_1818_e811_892f_902b_d23f_0824);
        assert_eq!(random.three_of(7400), [4774, 475, 4156]);
    }
}
