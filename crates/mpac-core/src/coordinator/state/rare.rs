//! What most records of a kind do not have.

use alloc::boxed::Box;
use core::ops::{Deref, DerefMut};

/// A part of a record that most lack: one empty place there, until something is written into it.
///
/// Thousands of finished records are kept, and go through the cache once more when they are forgotten: that was a sixth of
/// what a message of W1 cost.
#[derive(Clone, Debug)]
pub(crate) struct Rare<T>(Option<Box<T>>);

/// What a part that is not there reads as.
pub(crate) trait Absent: PartialEq + 'static {
    const ABSENT: &'static Self;
}

impl<T: Absent> From<T> for Rare<T> {
    fn from(part: T) -> Self {
        Self((part != *T::ABSENT).then(|| part.into()))
    }
}

impl<T: Absent> Deref for Rare<T> {
    type Target = T;
    fn deref(&self) -> &T {
        self.0.as_deref().unwrap_or(T::ABSENT)
    }
}

/// For writing only: it makes room.
impl<T: Absent + Clone> DerefMut for Rare<T> {
    fn deref_mut(&mut self) -> &mut T {
        self.0.get_or_insert_with(|| T::ABSENT.clone().into())
    }
}

impl<T: Absent> PartialEq for Rare<T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Absent for u8 {
        const ABSENT: &'static Self = &0;
    }

    #[test]
    fn what_reads_alike_is_equal_whatever_was_written() {
        let (none, mut written) = (Rare::from(0_u8), Rare::from(7_u8));
        assert_eq!((*none, *written, none.0.is_none()), (0, 7, true));
        assert_ne!(none, written);
        *written = 0;
        assert_eq!(none, written);
        *written += 2;
        assert_eq!(*written, 2);
    }
}
