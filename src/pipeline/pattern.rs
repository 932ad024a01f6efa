//! Pattern sets on the wire.

use crate::sensing::{
    Blocks, BlocksError, Dense, DenseError, Fourier, FourierError, Hadamard, HadamardError, Mask,
    MaskError, Operator, Pattern,
};
use crate::wire::{self, WireError, v1};
use v1::pattern_set::Kind;

/// Why a message makes no pattern set.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PatternError {
    /// the message
    #[error(transparent)]
    Wire(#[from] WireError),
    /// rows of a Hadamard transform
    #[error(transparent)]
    Hadamard(#[from] HadamardError),
    /// an explicit matrix
    #[error(transparent)]
    Dense(#[from] DenseError),
    /// single pixels
    #[error(transparent)]
    Mask(#[from] MaskError),
    /// blocks of pixels
    #[error(transparent)]
    Blocks(#[from] BlocksError),
    /// Fourier coefficients
    #[error(transparent)]
    Fourier(#[from] FourierError),
}

/// The pattern sets of a sensor of `grid` rows and columns; or which is none, and why.
pub(super) fn sets(
    messages: &[v1::PatternSet],
    grid: (usize, usize),
) -> Result<Vec<Pattern>, (usize, PatternError)> {
    wire::check_pattern_sets(messages.len()).map_err(|e| (wire::MAX_PATTERN_SETS, e.into()))?;
    let mut patterns: Vec<Pattern> = vec![];
    for (set, message) in messages.iter().enumerate() {
        let pattern = pattern(message, grid, &patterns).map_err(|error| (set, error))?;
        patterns.push(pattern);
    }
    Ok(patterns)
}

fn pattern(
    message: &v1::PatternSet,
    (rows, cols): (usize, usize),
    before: &[Pattern],
) -> Result<Pattern, PatternError> {
    let pixels = rows * cols;
    match &message.kind {
        Some(Kind::Hadamard(h)) => {
            let permutation = wire::u32s("permutation", &h.permutation, pixels)?;
            let rows = list("rows", &h.rows, pixels.next_power_of_two())?;
            Ok(Pattern::Hadamard(Hadamard::new(permutation, rows)?))
        }
        Some(Kind::Dense(d)) => {
            let readings = d.readings as usize;
            let weights = wire::f32s("weights", &d.weights, readings.saturating_mul(pixels))?;
            Ok(Pattern::Dense(Dense::new(readings, pixels, weights)?))
        }
        Some(Kind::Mask(m)) => {
            let picked = list("pixels", &m.pixels, pixels)?;
            Ok(Pattern::Mask(Mask::new(pixels, picked)?))
        }
        Some(Kind::Blocks(b)) => {
            let blocks = Blocks::new(rows, cols, b.side as usize)?;
            Ok(Pattern::Blocks(blocks))
        }
        Some(Kind::Fourier(f)) => {
            let coefficients = list("coefficients", &f.coefficients, pixels)?;
            // a set may take four bytes on the wire, and its transform eight a pixel: all share the first one's
            let like = before.iter().find_map(|pattern| match pattern {
                Pattern::Fourier(op) => Some(op),
                _ => None,
            });
            let fourier = match like {
                Some(op) => op.beside(coefficients)?,
                None => Fourier::new(rows, cols, coefficients)?,
            };
            Ok(Pattern::Fourier(fourier))
        }
        None => Err(WireError::Missing {
            field: "hadamard, dense, mask, block or Fourier patterns",
        }
        .into()),
    }
}

/// A list of at most `most` u32.
fn list(field: &'static str, bytes: &[u8], most: usize) -> Result<Vec<u32>, WireError> {
    wire::u32s(field, bytes, (bytes.len() / 4).min(most))
}

/// The message of a pattern set.
pub(super) fn message(pattern: &Pattern) -> v1::PatternSet {
    let kind = match pattern {
        Pattern::Hadamard(op) => Kind::Hadamard(v1::HadamardPatterns {
            permutation: wire::pack_u32s(op.permutation()),
            rows: wire::pack_u32s(op.rows()),
        }),
        Pattern::Dense(op) => Kind::Dense(v1::DensePatterns {
            readings: op.shape().0 as u32,
            weights: wire::pack_f32s(op.weights().iter().copied()),
        }),
        Pattern::Mask(op) => Kind::Mask(v1::MaskPatterns {
            pixels: wire::pack_u32s(op.picked()),
        }),
        Pattern::Blocks(op) => Kind::Blocks(v1::BlockPatterns {
            side: op.side() as u32,
        }),
        Pattern::Fourier(op) => Kind::Fourier(v1::FourierPatterns {
            coefficients: wire::pack_u32s(op.coefficients()),
        }),
    };
    v1::PatternSet { kind: Some(kind) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use proptest::prelude::*;

    fn of(kind: Kind) -> v1::PatternSet {
        v1::PatternSet { kind: Some(kind) }
    }

    fn fault(kind: Kind) -> String {
        let (set, error) = sets(&[of(kind)], (4, 6)).unwrap_err();
        assert_eq!(set, 0);
        error.to_string()
    }

    #[test]
    fn each_fault_is_named() {
        let mask = |pixels: &[u32]| {
            let pixels = wire::pack_u32s(pixels);
            fault(Kind::Mask(v1::MaskPatterns { pixels }))
        };
        assert!(mask(&[]).contains("at least one picked pixel"));
        assert!(mask(&[0, 24]).contains("got 24 at position 1"));
        assert!(mask(&[0; 25]).contains("pixels of 24 values"));
        let blocks = |side| fault(Kind::Blocks(v1::BlockPatterns { side }));
        assert!(blocks(0).contains("got 0") && blocks(u32::MAX).contains("block side"));
        let fourier = |coefficients: &[u32]| {
            let coefficients = wire::pack_u32s(coefficients);
            fault(Kind::Fourier(v1::FourierPatterns { coefficients }))
        };
        assert!(fourier(&[]).contains("at least one coefficient"));
        assert!(fourier(&[7, 23]).contains("got 23 at position 1"));
        assert!(fourier(&[0; 25]).contains("coefficients of 24 values"));
        let cut = v1::MaskPatterns {
            pixels: Bytes::from_static(&[0, 0, 0]),
        };
        assert!(fault(Kind::Mask(cut)).contains("got 3 bytes"));
    }

    proptest! {
        #[test]
        fn no_list_panics(words in proptest::collection::vec(0u32..40, 0..30), rows in 1usize..7, cols in 1usize..7, side in 0u32..8) {
            let list = wire::pack_u32s(&words);
            for kind in [
                Kind::Mask(v1::MaskPatterns { pixels: list.clone() }),
                Kind::Blocks(v1::BlockPatterns { side }),
                Kind::Fourier(v1::FourierPatterns { coefficients: list.clone() }),
                Kind::Hadamard(v1::HadamardPatterns { permutation: list.clone(), rows: list }),
            ] {
                let kinds = [of(kind.clone()), of(kind)];
                if let Ok(patterns) = sets(&kinds, (rows, cols)) {
                    let back: Vec<_> = patterns.iter().map(message).collect();
                    prop_assert_eq!(back.as_slice(), kinds.as_slice());
                }
            }
        }
    }
}
