//! Arrays as little-endian bytes.

use super::WireError;
use bytes::Bytes;

/// Bytes of an f32 and of a u32.
const WORD: usize = 4;

/// An array of `expected` finite f32.
///
/// # Errors
/// Where it has another length or a value that is not finite; `field` names it.
pub fn f32s(field: &'static str, bytes: &[u8], expected: usize) -> Result<Vec<f32>, WireError> {
    check_length(field, bytes, expected)?;
    let values: Vec<f32> = words(bytes).map(f32::from_le_bytes).collect();
    let finite = values.iter().fold(true, |all, v| all & v.is_finite()); // vectors see that at once, and not where
    let wrong = (!finite).then(|| values.iter().position(|v| !v.is_finite()));
    match wrong.flatten() {
        None => Ok(values),
        Some(index) => Err(WireError::Value {
            field,
            index,
            got: values[index],
        }),
    }
}

/// An array of `expected` u32.
///
/// # Errors
/// Where it has another length; `field` names it.
pub fn u32s(field: &'static str, bytes: &[u8], expected: usize) -> Result<Vec<u32>, WireError> {
    check_length(field, bytes, expected)?;
    Ok(words(bytes).map(u32::from_le_bytes).collect())
}

/// Little-endian bytes of an array.
pub fn pack_f32s(values: impl IntoIterator<Item = f32>) -> Bytes {
    let words: Vec<_> = values.into_iter().map(f32::to_le_bytes).collect();
    words.into_flattened().into()
}

/// Little-endian bytes of an array.
pub fn pack_u32s(values: &[u32]) -> Bytes {
    let words: Vec<_> = values.iter().map(|v| v.to_le_bytes()).collect();
    words.into_flattened().into()
}

pub(super) fn words(bytes: &[u8]) -> impl Iterator<Item = [u8; WORD]> {
    bytes.chunks_exact(WORD).map(|word| {
        let mut out = [0; WORD];
        out.copy_from_slice(word);
        out
    })
}

fn check_length(field: &'static str, bytes: &[u8], expected: usize) -> Result<(), WireError> {
    if expected.checked_mul(WORD) == Some(bytes.len()) {
        return Ok(());
    }
    Err(WireError::Length {
        field,
        expected,
        got: bytes.len(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arrays_survive(floats in proptest::collection::vec(-1e30f32..1e30, 0..40), words in proptest::collection::vec(any::<u32>(), 0..40)) {
            prop_assert_eq!(f32s("y", &pack_f32s(floats.iter().copied()), floats.len()).unwrap(), floats);
            prop_assert_eq!(u32s("rows", &pack_u32s(&words), words.len()).unwrap(), words);
        }
    }

    #[test]
    fn length_and_finiteness_are_checked() {
        let bytes = pack_f32s([1.0, f32::NAN]);
        assert!(matches!(
            f32s("y", &bytes, 2),
            Err(WireError::Value { index: 1, .. })
        ));
        let error = f32s("y", &bytes, 3).unwrap_err().to_string();
        assert!(
            error.contains("3 values of 4 bytes") && error.contains("8 bytes"),
            "{error}"
        );
        assert!(u32s("rows", &bytes, usize::MAX).is_err());
    }
}
