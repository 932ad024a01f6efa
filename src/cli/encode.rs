//! `relucent encode`: a measurement log of recorded depth.

use super::exposure::{ExposureArguments, sensor_id};
use super::prior::PriorArgument;
use super::{Incomplete, recorded, run};
use crate::say::say;
use anyhow::Context;
use indicatif::ProgressBar;
use relucent::clock::Monotonic;
use relucent::dataset::{Augmentation, Resampler, Sequence, read_text};
use relucent::frame::{Geometry, RangeImage};
use relucent::journal::Writer;
use relucent::pipeline::{Import, ImportError, VirtualStream, angular};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// Write what a compressive sensor would have measured of recorded depth, with the truth.
///
/// The recording is described by a small TOML file: a folder of depth or range images (key `frames`), or a topic of an
/// MCAP log (key `log`) that holds foxglove.RawImage, foxglove.PointCloud, or sensor_msgs/Image of ROS 1 or 2. A pixel
/// without a return sends no light: it is 0 in every channel, and counts in no error of range.
#[derive(clap::Args, Debug)]
pub(crate) struct Encode {
    /// Recording, as TOML or TOML=FOLDER (where its files are)
    recording: String,
    #[command(flatten)]
    prior: PriorArgument,
    /// Name of the sensor
    #[arg(long, default_value = "lidar", value_parser = sensor_id)]
    sensor: String,
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

/// Recorded frames at the prior's size.
struct Recording {
    geometry: Geometry,
    max_range: f32,
    /// how many there are, where that is known before
    len: Option<usize>,
    frames: Box<dyn Iterator<Item = anyhow::Result<(u64, RangeImage)>>>,
}

impl Encode {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        let prior = self.prior.load()?;
        let recording = self.open((prior.rows, prior.cols))?;
        if let Some(len) = recording.len {
            anyhow::ensure!(
                self.first < len,
                "expected --first within 0..{len}, got {}",
                self.first
            );
        }
        let wanted = self.frames.unwrap_or(usize::MAX);
        let mut frames = recording.frames.skip(self.first).take(wanted);
        let Some(first) = frames.next().transpose()? else {
            anyhow::bail!(
                "expected frames from number {} on in {}, found none",
                self.first,
                self.recording
            );
        };
        let mut stream = VirtualStream::new(
            &self.sensor,
            recording.geometry,
            &prior,
            recording.max_range,
            self.exposure.exposure(),
            &first.1,
        )?;
        let bar = ProgressBar::new(recording.len.unwrap_or(0) as u64);
        let stop = run::stop_on_signal();
        let mut log = Writer::create(&self.out, Monotonic::default())?;
        let mut outcome = Ok(());
        for frame in std::iter::once(Ok(first)).chain(frames) {
            match frame {
                Ok((stamp_ns, image)) => stream.record(&image, stamp_ns, &mut log)?,
                Err(error) => {
                    outcome = Err(as_far_as_it_goes(error));
                    break;
                }
            }
            bar.inc(1);
            if stop.load(Ordering::Relaxed) {
                break;
            }
        }
        log.finish()?;
        bar.finish_and_clear();
        say!("{}", self.out.display());
        outcome
    }

    fn open(&self, size: (usize, usize)) -> anyhow::Result<Recording> {
        let (toml, root) = recorded::split(&self.recording);
        let text = read_text(toml)?;
        let is_log = toml::from_str::<toml::Table>(&text).is_ok_and(|t| t.contains_key("log"));
        if is_log {
            let import = Import::open(toml, root, size)
                .with_context(|| format!("recording {}", toml.display()))?;
            return Ok(Recording {
                geometry: import.geometry(),
                max_range: import.max_range_m(),
                len: None,
                frames: Box::new(import.map(|frame| Ok(frame?))),
            });
        }
        folder(recorded::open(&self.recording)?, size)
    }
}

/// A log that ends in the middle was used until there.
fn as_far_as_it_goes(error: anyhow::Error) -> anyhow::Error {
    match error.downcast() {
        Ok(ImportError::Journal(error)) if error.is_early_end() => Incomplete(error).into(),
        Ok(error) => error.into(),
        Err(error) => error,
    }
}

fn folder(sequence: Sequence, (rows, cols): (usize, usize)) -> anyhow::Result<Recording> {
    let resampler = Resampler::new(sequence.geometry(), rows, cols, None)?;
    Ok(Recording {
        geometry: angular(&sequence.geometry().field()),
        max_range: sequence.max_range_m(),
        len: Some(sequence.len()),
        frames: Box::new((0..sequence.len()).map(move |index| {
            let frame = sequence.frame(index)?;
            let mut image = RangeImage::default();
            resampler.apply(&frame.image, Augmentation::default(), &mut image);
            Ok((frame.stamp_ns, image))
        })),
    })
}
