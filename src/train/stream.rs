//! The never-repeating stream of training frames, made on a thread of its own.

use super::RecordedFrames;
use crate::frame::{Knots, RangeImage};
use crate::prior::{TokenGrid, rms_return};
use crate::sim::{self, Rays, Split};
use rand::{Rng, RngExt};
use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};

/// Batches made ahead of need.
const AHEAD: usize = 4;

/// Root mean square over all pixels of the return that frames are scaled to: what a sensor calls 1 is its own affair, and
/// no frame weighs more than another.
pub(super) const RMS_RETURN: f32 = 0.3;
/// Spread of the scale of training frames, relative: recovery knows it only from readings.
const SCALE_SPREAD: f32 = 0.05;

/// Where frames come from.
pub(super) struct Source {
    pub(super) grid: TokenGrid,
    /// knots relative to κ_J
    pub(super) knots: Knots,
    pub(super) rays: Rays,
    pub(super) recorded: Vec<RecordedFrames>,
    /// share of frames that come from recorded sequences
    pub(super) recorded_share: f64,
    pub(super) seed: u64,
}

/// Some frames, ready for the network.
pub(super) struct Batch {
    pub(super) frames: usize,
    /// channels, (frames × J·n)
    pub(super) channels: Vec<f32>,
    /// the encoder's tokens
    pub(super) tokens: Vec<f32>,
    /// true range relative to κ_J, NaN where nothing returned, (frames × n)
    pub(super) range: Vec<f32>,
}

impl Source {
    /// Training frames `indices` of the stream.
    pub(super) fn batch(&self, indices: Range<u64>) -> Batch {
        self.collect(indices, |index, image| self.training_frame(index, image))
    }

    /// Simulated frames that training never sees.
    pub(super) fn validation(&self, indices: Range<u64>) -> Batch {
        self.collect(indices, |index, image| {
            sim::frame(Split::Tune, index, &self.rays, image);
            (sim::MAX_RANGE, 1.0)
        })
    }

    /// `make` fills an image and says which range is κ_J, and by how much the frame's scale is off.
    fn collect(
        &self,
        indices: Range<u64>,
        make: impl Fn(u64, &mut RangeImage) -> (f32, f32),
    ) -> Batch {
        let frames = (indices.end - indices.start) as usize;
        let pixels = self.grid.rows * self.grid.cols;
        let outputs = self.grid.channels * pixels;
        let mut batch = Batch {
            frames,
            channels: vec![0.0; frames * outputs],
            tokens: vec![0.0; frames * self.grid.tokens_len()],
            range: vec![f32::NAN; frames * pixels],
        };
        let mut image = RangeImage::empty(self.grid.rows, self.grid.cols);
        for (slot, index) in indices.enumerate() {
            let (max_range, brightness) = make(index, &mut image);
            image.range.iter_mut().for_each(|r| *r /= max_range);
            let x = &mut batch.channels[slot * outputs..][..outputs];
            self.knots.split(&image, x);
            let rms = rms_return(x, pixels);
            if rms > 0.0 {
                x.iter_mut()
                    .for_each(|x| *x *= brightness * RMS_RETURN / rms);
            }
            self.grid.tokens(
                x,
                &mut batch.tokens[slot * self.grid.tokens_len()..][..self.grid.tokens_len()],
            );
            for (pixel, range) in batch.range[slot * pixels..][..pixels]
                .iter_mut()
                .enumerate()
            {
                if image.valid[pixel] && image.range[pixel] <= 1.0 {
                    *range = image.range[pixel];
                }
            }
        }
        batch
    }

    fn training_frame(&self, index: u64, image: &mut RangeImage) -> (f32, f32) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(index);
        let recorded = !self.recorded.is_empty() && rng.random_bool(self.recorded_share);
        let max_range = if recorded {
            let sequence = &self.recorded[rng.random_range(0..self.recorded.len())];
            image.clone_from(&sequence.frames[rng.random_range(0..sequence.frames.len())]);
            sequence.max_range * rng.random_range(0.7..1.3)
        } else {
            sim::frame(
                Split::Train,
                self.seed.wrapping_mul(1 << 40).wrapping_add(index),
                &self.rays,
                image,
            );
            sim::MAX_RANGE
        };
        if rng.next_u32() & 1 == 1 {
            mirror(image);
        }
        let off: f32 = StandardNormal.sample(&mut rng);
        (max_range, (SCALE_SPREAD * off).exp())
    }

    /// Batches of `frames` frames from frame `start` of the stream on, until the receiver is dropped.
    pub(super) fn spawn(self: &Arc<Self>, start: u64, frames: usize) -> Receiver<Batch> {
        let (sender, receiver) = sync_channel(AHEAD);
        let source = Arc::clone(self);
        std::thread::spawn(move || {
            let mut next = start;
            while sender
                .send(source.batch(next..next + frames as u64))
                .is_ok()
            {
                next += frames as u64;
            }
        });
        receiver
    }
}

pub(super) fn mirror(image: &mut RangeImage) {
    let cols = image.cols;
    image
        .range
        .chunks_exact_mut(cols)
        .for_each(<[f32]>::reverse);
    image
        .returns
        .chunks_exact_mut(cols)
        .for_each(<[f32]>::reverse);
    image
        .valid
        .chunks_exact_mut(cols)
        .for_each(<[bool]>::reverse);
}
