//! Vectors that begin where a line of the caches does, so that registers as wide as a line are read and written in one go.

use std::ops::{Deref, DerefMut};

/// Bytes of a line.
const LINE: usize = 64;
/// Values of a line, and of the widest register.
pub(super) const REGISTER: usize = LINE / size_of::<f32>();

/// What begins with a line: all but the first values, fewer than [`REGISTER`].
pub(super) fn from_line(values: &mut [f32]) -> &mut [f32] {
    let first = values.as_ptr().align_offset(LINE).min(values.len());
    &mut values[first..]
}

/// A vector that begins with a line.
#[derive(Debug, Default)]
pub(super) struct Aligned {
    values: Vec<f32>,
    /// where the line begins
    first: usize,
}

impl Aligned {
    /// `len` values of 0.
    pub(super) fn zeros(len: usize) -> Self {
        let mut values = vec![0.0; len + REGISTER];
        let first = values.as_ptr().align_offset(LINE).min(REGISTER);
        values.truncate(first + len); // which leaves it where it is
        Self { values, first }
    }

    /// Makes it `len` values, which may be any; it keeps the room that it has.
    pub(super) fn fit(&mut self, len: usize) {
        match self.first + len <= self.values.capacity() {
            true => self.values.resize(self.first + len, 0.0), // which leaves it where it is
            false => *self = Self::zeros(len),
        }
    }
}

impl Deref for Aligned {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        &self.values[self.first..]
    }
}

impl DerefMut for Aligned {
    fn deref_mut(&mut self) -> &mut [f32] {
        &mut self.values[self.first..]
    }
}

impl Clone for Aligned {
    fn clone(&self) -> Self {
        let mut clone = Self::zeros(self.len());
        clone.copy_from_slice(self);
        clone
    }

    fn clone_from(&mut self, from: &Self) {
        self.fit(from.len());
        self.copy_from_slice(from);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn vectors_begin_with_a_line_and_so_do_their_clones() {
        for len in [0, 1, 100, 4096] {
            let mut values = Aligned::zeros(len);
            (0..).zip(&mut *values).for_each(|(i, v)| *v = i as f32);
            let mut other = Aligned::zeros(700);
            other.clone_from(&values);
            for values in [&values, &values.clone(), &other] {
                assert_eq!(values.len(), len);
                assert_eq!(values.as_ptr() as usize % LINE, 0);
                assert!((0..).zip(&**values).all(|(i, v)| *v == i as f32));
            }
        }
    }
}
