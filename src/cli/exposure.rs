//! How a virtual sensor measures, on the command line.

use relucent::pipeline::Exposure;
use relucent::sensing::Data;
use relucent::sim::{Imperfections, Sampling};
use relucent::wire;

/// A sensor's name.
pub(crate) fn sensor_id(text: &str) -> Result<String, String> {
    wire::check_sensor_id(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// The virtual sensor.
#[derive(clap::Args, Debug)]
pub(crate) struct ExposureArguments {
    /// Measurements over pixels, m/n
    #[arg(long, default_value_t = 0.05)]
    ratio: f64,
    /// Pattern sets shown in turn
    #[arg(long, default_value_t = 8)]
    sets: usize,
    /// Which Hadamard patterns they hold: variable-density (coarse ones more often) or scrambled
    /// [default: variable-density, of magnitudes scrambled]
    #[arg(long)]
    sampling: Option<Sampling>,
    /// Standard deviation of a reading's noise over the first frame's mean |y|
    #[arg(long, default_value_t = 0.005)]
    noise: f32,
    /// Tell only the magnitudes of readings (phase retrieval)
    #[arg(long)]
    magnitudes: bool,
    /// Share of readings that are lost
    #[arg(long, default_value_t = 0.0)]
    missing: f32,
    /// Standard deviation of g, where all readings of a frame are scaled by 1 + g
    #[arg(long, default_value_t = 0.0)]
    gain_error: f32,
    /// Pixels by which the patterns lie beside where they should
    #[arg(long, default_value_t = 0.0)]
    misregistered: f32,
    /// Seed of scene, patterns and noise
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl ExposureArguments {
    pub(crate) fn exposure(&self) -> Exposure {
        Exposure {
            ratio: self.ratio,
            sets: self.sets,
            sampling: self.sampling,
            noise: self.noise,
            data: match self.magnitudes {
                true => Data::Magnitudes,
                false => Data::Linear,
            },
            imperfections: Imperfections {
                gain_error: self.gain_error,
                misregistered: self.misregistered,
                missing: self.missing,
                ..Imperfections::default()
            },
            seed: self.seed,
        }
    }
}
