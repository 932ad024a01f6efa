//! Vectors that are used again, so that a frame allocates nothing once the one before it has.
//!
//! A recovery takes some two hundred vectors of the same few lengths for each frame. A [`Buffer`] is one: where it is
//! dropped it goes back to the pool of its thread, and the next one of about its length is it. One that another thread
//! drops is freed.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::mem::{size_of, take};
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::LocalKey;

/// Bytes that a thread's pool of one type holds at most.
const MOST_BYTES: usize = 32 << 20;
/// Lengths of which pools know one from another, between a power of two and the next.
const STEPS: usize = 4;

/// A vector of its thread's pool.
pub struct Buffer<T: Element> {
    values: Vec<T>,
    /// the thread whose pool it goes back to
    home: u64,
}

/// What a [`Buffer`] holds.
pub trait Element: Clone + Default + 'static {
    #[doc(hidden)]
    fn shelf() -> &'static LocalKey<RefCell<Shelf<Self>>>;
}

macro_rules! element {
    ($($element:ty),*) => {$(
        impl Element for $element {
            fn shelf() -> &'static LocalKey<RefCell<Shelf<Self>>> {
                thread_local! {
                    static SHELF: RefCell<Shelf<$element>> = const { RefCell::new(Shelf::new()) };
                }
                &SHELF
            }
        }
    )*};
}

element!(f32, f64, bool, usize, Buffer<f32>);

/// Empty vectors of one type, by how much they can hold.
#[doc(hidden)]
pub struct Shelf<T> {
    classes: Vec<Vec<Vec<T>>>,
    bytes: usize,
}

impl<T> Shelf<T> {
    const fn new() -> Self {
        Self {
            classes: Vec::new(),
            bytes: 0,
        }
    }

    fn take(&mut self, len: usize) -> Vec<T> {
        let class = class(len, usize::div_ceil);
        let kept = self.classes.get_mut(class).and_then(Vec::pop);
        if let Some(kept) = &kept {
            self.bytes -= kept.capacity() * size_of::<T>();
        }
        kept.unwrap_or_else(|| Vec::with_capacity(capacity(class)))
    }

    fn put(&mut self, empty: Vec<T>) {
        let bytes = empty.capacity() * size_of::<T>();
        if empty.capacity() < STEPS || self.bytes + bytes > MOST_BYTES {
            return;
        }
        let class = class(empty.capacity(), |beyond, step| beyond / step);
        if self.classes.len() <= class {
            self.classes.resize_with(class + 1, Vec::new);
        }
        self.bytes += bytes;
        self.classes[class].push(empty);
    }
}

/// The class of a length, rounded between a class and the next as `rounded` divides.
fn class(len: usize, rounded: impl Fn(usize, usize) -> usize) -> usize {
    let len = len.max(STEPS);
    let octave = len.ilog2() as usize;
    let step = (1 << octave) / STEPS;
    (octave - STEPS.ilog2() as usize) * STEPS + rounded(len - (1 << octave), step)
}

/// What vectors of a class hold at least.
fn capacity(class: usize) -> usize {
    (STEPS + class % STEPS) << (class / STEPS)
}

thread_local! {
    static HOME: Cell<u64> = {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Cell::new(NEXT.fetch_add(1, Ordering::Relaxed))
    };
}

impl<T: Element> Buffer<T> {
    /// Empty, with room for `len` values.
    pub fn with_capacity(len: usize) -> Self {
        let values = if len == 0 {
            Vec::new()
        } else {
            T::shelf().with_borrow_mut(|shelf| shelf.take(len))
        };
        values.into()
    }

    /// `len` values of 0.
    pub fn zeros(len: usize) -> Self {
        Self::of(T::default(), len)
    }

    /// `len` times a value.
    pub fn of(value: T, len: usize) -> Self {
        let mut buffer = Self::with_capacity(len);
        buffer.resize(len, value);
        buffer
    }

    /// The vector itself, which goes to no pool; [`Buffer::from`] gives it back.
    pub fn into_vec(mut self) -> Vec<T> {
        take(&mut self.values)
    }

    /// Makes room for `len` values in all.
    pub fn reserve(&mut self, len: usize) {
        if len > self.values.capacity() {
            let mut larger = Self::with_capacity(len);
            larger.values.append(&mut self.values);
            *self = larger;
        }
    }

    /// Shortens it, or fills it up with a value.
    pub fn resize(&mut self, len: usize, value: T) {
        self.reserve(len);
        self.values.resize(len, value);
    }

    /// Leaves nothing in it.
    pub fn clear(&mut self) {
        self.values.clear();
    }

    /// Adds a value.
    pub fn push(&mut self, value: T) {
        let len = self.values.len();
        if len == self.values.capacity() {
            self.reserve(2 * len + 1);
        }
        self.values.push(value);
    }

    /// Adds the values of a slice.
    pub fn extend_from_slice(&mut self, values: &[T]) {
        self.reserve(self.values.len() + values.len());
        self.values.extend_from_slice(values);
    }
}

impl<T: Element> From<Vec<T>> for Buffer<T> {
    fn from(values: Vec<T>) -> Self {
        Self {
            values,
            home: HOME.get(),
        }
    }
}

impl<T: Element> From<&[T]> for Buffer<T> {
    fn from(values: &[T]) -> Self {
        let mut buffer = Self::with_capacity(values.len());
        buffer.extend_from_slice(values);
        buffer
    }
}

impl<T: Element> Extend<T> for Buffer<T> {
    fn extend<I: IntoIterator<Item = T>>(&mut self, values: I) {
        let values = values.into_iter();
        let (least, most) = values.size_hint();
        self.reserve(self.values.len() + least);
        if most == Some(least) {
            self.values.extend(values); // all at once, as there is room
        } else {
            values.for_each(|value| self.push(value));
        }
    }
}

impl<T: Element> FromIterator<T> for Buffer<T> {
    fn from_iter<I: IntoIterator<Item = T>>(values: I) -> Self {
        let mut buffer = Self::default();
        buffer.extend(values);
        buffer
    }
}

impl<'a, T: Element> IntoIterator for &'a Buffer<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<T: Element> Drop for Buffer<T> {
    fn drop(&mut self) {
        let mut values = take(&mut self.values);
        values.clear();
        if values.capacity() > 0 && HOME.try_with(Cell::get) == Ok(self.home) {
            // as its thread ends there may be no pool any more
            let _ = T::shelf().try_with(|shelf| shelf.borrow_mut().put(values));
        }
    }
}

impl<T: Element> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self::from(&self[..])
    }
}

impl<T: Element> Default for Buffer<T> {
    fn default() -> Self {
        Vec::new().into()
    }
}

impl<T: Element> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values
    }
}

impl<T: Element> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values
    }
}

impl<T: Element + fmt::Debug> fmt::Debug for Buffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.values.fmt(f)
    }
}

impl<T: Element + PartialEq> PartialEq for Buffer<T> {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_hold_what_is_asked_of_them() {
        for len in 1..5000 {
            let up = class(len, usize::div_ceil);
            assert!(
                capacity(up) >= len && 4 * capacity(up) <= 5 * len.max(STEPS) + STEPS,
                "{len}"
            );
            if len >= STEPS {
                assert!(
                    capacity(class(len, |beyond, step| beyond / step)) <= len,
                    "{len}"
                );
            }
        }
    }

    #[test]
    fn what_is_dropped_is_used_again_and_clean() {
        let mut first = Buffer::<f64>::zeros(1000);
        first.fill(7.0);
        let at = first.as_ptr();
        drop(first);
        let again = Buffer::<f64>::zeros(990);
        assert_eq!(again.as_ptr(), at);
        assert!(again.iter().all(|v| *v == 0.0));
        let other = again.clone();
        assert_ne!(other.as_ptr(), at);
        assert_eq!(other, again);
    }

    #[test]
    fn what_another_thread_drops_is_freed() {
        let buffer = Buffer::<f64>::of(1.0, 3000);
        let left = std::thread::spawn(move || {
            drop(buffer);
            f64::shelf().with_borrow(|shelf| shelf.bytes)
        });
        assert_eq!(left.join().unwrap(), 0);
    }

    #[test]
    fn a_pool_is_bounded() {
        let many: Vec<_> = (0..6)
            .map(|_| Buffer::<bool>::zeros(MOST_BYTES / 4))
            .collect();
        drop(many);
        assert!(bool::shelf().with_borrow(|shelf| shelf.bytes) <= MOST_BYTES);
    }
}
