//! `relucent simulate`: a measurement log of a simulated sequence.

use super::demo::RATE_HZ;
use super::exposure::{ExposureArguments, sensor_id};
use super::prior::PriorArgument;
use super::run;
use crate::say::say;
use indicatif::ProgressBar;
use relucent::clock::Monotonic;
use relucent::frame::{Geometry, RangeImage};
use relucent::journal::Writer;
use relucent::pipeline::VirtualStream;
use relucent::sim::{self, Family};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

/// Simulate a sequence and write what a compressive sensor measures of it, with the truth.
#[derive(clap::Args, Debug)]
pub(crate) struct Simulate {
    #[command(flatten)]
    prior: PriorArgument,
    /// Name of the sensor
    #[arg(long, default_value = "lidar", value_parser = sensor_id)]
    sensor: String,
    #[command(flatten)]
    exposure: ExposureArguments,
    /// Kind of place: street, corridor, room, yard or warehouse
    #[arg(long, default_value = "street")]
    scene: Family,
    /// Number of frames
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..))]
    frames: u32,
    /// Frames a second
    #[arg(long, default_value_t = RATE_HZ)]
    rate: f64,
    /// Show a frame's patterns one after another over the whole interval between frames, while the scene moves; the truth
    /// and the stamp are those of the middle
    #[arg(long)]
    rolling: bool,
    /// Where the log goes (MCAP)
    #[arg(long)]
    out: PathBuf,
}

impl Simulate {
    pub(crate) fn run(&self) -> anyhow::Result<()> {
        anyhow::ensure!(
            self.rate.is_finite() && self.rate > 0.0,
            "expected --rate above 0 Hz, got {}",
            self.rate
        );
        let prior = self.prior.load()?;
        let mut exposure = self.exposure.exposure();
        if self.rolling {
            exposure.imperfections.rolling_s = (1.0 / self.rate) as f32;
        }
        let scene = sim::held_out(self.scene, exposure.seed as u32);
        let rays = sim::rays(prior.rows, prior.cols);
        let (horizontal, vertical) = sim::FIELD_OF_VIEW;
        let geometry = Geometry::centred(horizontal, vertical);
        let (mut truth, mut moments) = (RangeImage::default(), vec![]);
        scene.cast(&rays, 0.0, sim::MAX_RANGE, &mut truth);
        let mut stream = VirtualStream::new(
            &self.sensor,
            geometry,
            &prior,
            sim::MAX_RANGE,
            exposure,
            &truth,
        )?;
        let mut log = Writer::create(&self.out, Monotonic::default())?;
        let stop = run::stop_on_signal();
        let bar = ProgressBar::new(self.frames.into());
        for index in 0..self.frames {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let time_s = f64::from(index) / self.rate;
            scene.cast(&rays, time_s as f32, sim::MAX_RANGE, &mut truth);
            let imperfections = &exposure.imperfections;
            imperfections.expose(&scene, &rays, time_s as f32, &mut moments);
            stream.record_moving(&truth, &moments, (time_s * 1e9) as u64, &mut log)?;
            bar.inc(1);
        }
        log.finish()?;
        bar.finish_and_clear();
        say!("{}", self.out.display());
        Ok(())
    }
}
