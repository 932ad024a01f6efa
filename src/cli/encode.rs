//! `relucent encode`: a measurement log of a recorded depth sequence.

use super::exposure::ExposureArguments;
use super::prior::PriorArgument;
use super::{recorded, run};
use indicatif::ProgressBar;
use relucent::clock::Monotonic;
use relucent::dataset::{Augmentation, Resampler};
use relucent::frame::{Geometry, RangeImage};
use relucent::journal::Writer;
use relucent::pipeline::VirtualStream;
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// Write what a compressive sensor would have measured of a recorded depth sequence, with the truth.
///
/// A pixel without a return sends no light: it is 0 in every channel, and counts in no error of range.
#[derive(clap::Args, Debug)]
pub(crate) struct Encode {
    /// Recorded sequence, as TOML or TOML=FOLDER (where its files are)
    sequence: String,
    #[command(flatten)]
    prior: PriorArgument,
    #[command(flatten)]
    exposure: ExposureArguments,
    /// First frame
    #[arg(long, default_value_t = 0)]
    first: usize,
    /// Number of frames [default: all]
    #[arg(long)]
    frames: Option<usize>,
    /// Where the log goes (MCAP)
    #[arg(long)]
    out: PathBuf,
}

impl Encode {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let sequence = recorded::open(&self.sequence)?;
        let prior = self.prior.load()?;
        anyhow::ensure!(
            self.first < sequence.len(),
            "expected --first within 0..{}, got {}",
            sequence.len(),
            self.first
        );
        let end = self
            .frames
            .map_or(sequence.len(), |count| self.first.saturating_add(count))
            .min(sequence.len());
        let resampler = Resampler::new(sequence.geometry(), prior.rows, prior.cols, None)?;
        let field = sequence.geometry().field();
        let geometry = Geometry::Angular {
            left_deg: field.azimuth.1,
            right_deg: field.azimuth.0,
            top_deg: field.elevation.1,
            bottom_deg: field.elevation.0,
        };
        let (name, exposure) = (&self.exposure.sensor, self.exposure.exposure());
        let max_range = sequence.max_range_m();
        let mut image = RangeImage::default();
        let mut stream: Option<VirtualStream> = None;
        let mut log = Writer::create(&self.out, Monotonic::default())?;
        let stop = run::stop_on_signal();
        let bar = ProgressBar::new((end - self.first) as u64);
        for index in self.first..end {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let frame = sequence.frame(index)?;
            resampler.apply(&frame.image, Augmentation::default(), &mut image);
            let stream = match &mut stream {
                Some(stream) => stream,
                none => none.insert(VirtualStream::new(
                    name, geometry, &prior, max_range, exposure, &image,
                )?),
            };
            stream.record(&image, frame.stamp_ns, &mut log)?;
            bar.inc(1);
        }
        log.finish()?;
        bar.finish_and_clear();
        println!("{}", self.out.display());
        Ok(())
    }
}
