//! What may happen to bytes on their way.

use proptest::prelude::*;

/// Something that happens to bytes; positions are shares of their length.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    Flip(f64, u8),
    Set(f64, &'static [u8]),
    Insert(f64, &'static [u8]),
    Remove(f64, usize),
    Repeat(f64, usize),
    Cut(f64),
    /// bytes of another seed in place of those from here on
    Splice(f64, f64, usize),
}

/// Numbers that lengths and values are blown up to.
const WORDS: [&[u8]; 14] = [
    &[0],
    &[0x7f],
    &[0xff],
    &[0; 8],
    &[0xff; 2],
    &[0xff; 4],
    &[0xff; 8],
    &[0xff, 0xff, 0xff, 0xff, 0x0f], // a varint of 2³² − 1
    &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1], // and of 2⁶⁴ − 1
    &[0, 0, 0, 0x80],
    &[0, 0, 0, 4],             // 64 Mi
    &[0, 0, 0xc0, 0x7f],       // not a number
    &[0, 0, 0x80, 0x7f],       // infinity
    &[0, 0, 0, 1, 0, 0, 0, 0], // 16 Mi
];

pub(crate) fn edits() -> impl Strategy<Value = Vec<Edit>> {
    let at = || 0.0..1.0;
    let word = || prop::sample::select(&WORDS[..]);
    let edit = prop_oneof![
        4 => (at(), 0u8..8).prop_map(|(at, bit)| Edit::Flip(at, bit)),
        4 => (at(), word()).prop_map(|(at, word)| Edit::Set(at, word)),
        1 => (at(), word()).prop_map(|(at, word)| Edit::Insert(at, word)),
        1 => (at(), 1usize..40).prop_map(|(at, len)| Edit::Remove(at, len)),
        1 => (at(), 1usize..200).prop_map(|(at, len)| Edit::Repeat(at, len)),
        1 => at().prop_map(Edit::Cut),
        1 => (at(), at(), 1usize..400).prop_map(|(at, from, len)| Edit::Splice(at, from, len)),
    ];
    prop::collection::vec(edit, 1..6)
}

pub(crate) fn apply(edits: &[Edit], seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for edit in edits {
        let place = |share: f64, bytes: &[u8]| (share * bytes.len() as f64) as usize;
        match *edit {
            Edit::Flip(at, bit) => {
                let at = place(at, &bytes);
                bytes.get_mut(at).into_iter().for_each(|b| *b ^= 1 << bit);
            }
            Edit::Set(at, word) => {
                let to = place(at, &bytes);
                bytes[to..].iter_mut().zip(word).for_each(|(b, w)| *b = *w);
            }
            Edit::Insert(at, word) => {
                let at = place(at, &bytes);
                bytes.splice(at..at, word.iter().copied());
            }
            Edit::Remove(at, len) => {
                let at = place(at, &bytes);
                bytes.drain(at..(at + len).min(bytes.len()));
            }
            Edit::Repeat(at, len) => {
                let at = place(at, &bytes);
                let part = bytes[at..(at + len).min(bytes.len())].to_vec();
                bytes.splice(at..at, part);
            }
            Edit::Cut(at) => bytes.truncate(place(at, &bytes)),
            Edit::Splice(at, from, len) => {
                let (at, from) = (place(at, &bytes), place(from, other));
                let part = &other[from..(from + len).min(other.len())];
                let end = (at + part.len()).min(bytes.len());
                bytes.splice(at..end, part.iter().copied());
            }
        }
    }
    bytes
}
