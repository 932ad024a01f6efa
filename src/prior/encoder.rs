//! From a frame to its code: the half of the prior that recovery never needs, and that judges it.

use super::matrix::Matrix;
use super::net::Affine;

/// Side of a token, pixels.
const TOKEN: usize = 4;
/// Tokens along the side of a block.
const BLOCK: usize = 2;
/// Return below which a pixel's share of the channels fades out.
const FADE: f32 = 0.05;

/// Code of a frame: z = W_l x + b + W_o·features(x).
///
/// The features see tokens of 4 × 4 pixels, then blocks of 2 × 2 tokens, then the whole frame. It starts training
/// as the projection on principal directions (W_o = 0), and only improves on it.
#[derive(Clone, Debug, PartialEq)]
pub struct Encoder {
    /// each token's 2J·16 values to its features, ReLU
    pub token: Affine,
    /// each block's 4 tokens to its features, ReLU
    pub block: Affine,
    /// all blocks to the frame's features, ReLU
    pub frame: Affine,
    /// the frame's features to the code, (k × features)
    pub out: Matrix,
    /// the frame itself to the code, (k × J·n)
    pub linear: Affine,
}

/// Sizes of the encoder's inputs for a grid of pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenGrid {
    /// rows of pixels, a multiple of [`TokenGrid::MULTIPLE`]
    pub rows: usize,
    /// columns of pixels, a multiple of [`TokenGrid::MULTIPLE`]
    pub cols: usize,
    /// channels, J
    pub channels: usize,
}

impl TokenGrid {
    /// What rows and columns must be multiples of.
    pub const MULTIPLE: usize = TOKEN * BLOCK;

    /// Values of one token.
    pub fn token_len(self) -> usize {
        2 * self.channels * TOKEN * TOKEN
    }

    /// Number of blocks of a frame.
    pub fn blocks(self) -> usize {
        self.rows * self.cols / (Self::MULTIPLE * Self::MULTIPLE)
    }

    /// Tokens of a block.
    pub const fn tokens_per_block() -> usize {
        BLOCK * BLOCK
    }

    /// Length of all tokens of a frame.
    pub fn tokens_len(self) -> usize {
        self.blocks() * Self::tokens_per_block() * self.token_len()
    }

    /// Tokens of channels `x`, (J·n): block by block, token by token, the channels as they are and then as
    /// shares of the pixel's return, which do not see its albedo.
    ///
    /// # Panics
    /// Where a buffer has another length, or rows or columns are no multiples of [`TokenGrid::MULTIPLE`].
    pub fn tokens(self, x: &[f32], out: &mut [f32]) {
        let n = self.rows * self.cols;
        assert_eq!(
            (x.len(), out.len()),
            (self.channels * n, self.tokens_len()),
            "channels × pixels, tokens"
        );
        assert!(
            self.rows.is_multiple_of(Self::MULTIPLE) && self.cols.is_multiple_of(Self::MULTIPLE)
        );
        let half = self.token_len() / 2;
        let blocks_across = self.cols / Self::MULTIPLE;
        for (index, token) in out.chunks_exact_mut(2 * half).enumerate() {
            let (block, part) = (
                index / Self::tokens_per_block(),
                index % Self::tokens_per_block(),
            );
            let top = block / blocks_across * Self::MULTIPLE + part / BLOCK * TOKEN;
            let left = block % blocks_across * Self::MULTIPLE + part % BLOCK * TOKEN;
            let (plain, shares) = token.split_at_mut(half);
            for p in 0..TOKEN * TOKEN {
                let pixel = (top + p / TOKEN) * self.cols + left + p % TOKEN;
                let total: f32 = (0..self.channels).map(|g| x[g * n + pixel]).sum();
                let fade = 1.0 / (total + FADE);
                for g in 0..self.channels {
                    let value = x[g * n + pixel];
                    plain[g * TOKEN * TOKEN + p] = value;
                    shares[g * TOKEN * TOKEN + p] = value * fade;
                }
            }
        }
    }
}

impl Encoder {
    /// Its affine layers, by name.
    pub(super) fn affine_layers(&self) -> [(&'static str, &Affine); 4] {
        [
            ("token", &self.token),
            ("block", &self.block),
            ("frame", &self.frame),
            ("linear", &self.linear),
        ]
    }

    /// The code z, (k), of channels `x`, (J·n).
    ///
    /// # Panics
    /// Where `x` does not fit `grid` or `grid` the encoder.
    pub fn encode(&self, grid: TokenGrid, x: &[f32]) -> Vec<f32> {
        let mut tokens = vec![0.0; grid.tokens_len()];
        grid.tokens(x, &mut tokens);
        let tokens: Vec<f32> = tokens
            .chunks_exact(grid.token_len())
            .flat_map(|t| self.token.relu(t))
            .collect();
        let block_len = tokens.len() / grid.blocks();
        let blocks: Vec<f32> = tokens
            .chunks_exact(block_len)
            .flat_map(|b| self.block.relu(b))
            .collect();
        let frame = self.frame.relu(&blocks);
        let mut z = self.linear.apply(x);
        let mut correction = vec![0.0; z.len()];
        self.out.apply(&frame, &mut correction);
        z.iter_mut().zip(&correction).for_each(|(z, c)| *z += c);
        z
    }
}
