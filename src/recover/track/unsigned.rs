//! Magnitudes on a track: signs first, then all is linear.

use super::{Tracker, without};
use crate::clock::Clock;
use crate::frame::Measurement;
use crate::pool::Buffer;
use crate::recover::belief::Belief;
use crate::recover::error::MeasurementError;
use crate::recover::guesses::guesses;
use crate::recover::method::Method;
use crate::recover::report::Signs;
use crate::recover::signs::{Settled, Unsigned, loudness, signed};
use crate::sensing::Data;

impl<C: Clock> Tracker<C> {
    /// The measurement with the signs that its magnitudes are found to have; `None` of linear readings.
    pub(super) fn signed(
        &mut self,
        measurement: &Measurement,
    ) -> Result<Option<(Measurement, Signs)>, MeasurementError> {
        if self.description.data == Data::Linear {
            return Ok(None);
        }
        let set = measurement.pattern_set;
        let channels = self.description.channels();
        let sure = self.views.sure(set).to_vec();
        if sure.iter().all(|sign| *sign != 0.0) {
            return Ok(Some(found(measurement, sure.repeat(channels))));
        }
        let rough = self.at_usual_return(measurement)?;
        if self.settings.method != Method::Latent {
            let like = self.signed_image(&rough, &sure);
            let expected: Vec<f32> = like.iter().map(|y| y.signum()).collect();
            return Ok(Some(found(measurement, expected)));
        }
        let settled = match self.signed_warm(measurement, &rough, &sure)? {
            Some(settled) => settled,
            None => self.signed_cold(measurement, &rough, &sure)?,
        };
        Ok(Some(found(measurement, settled.expected)))
    }

    /// At about the return that the prior knows: how bright the frame is, is told exactly once signs are known.
    fn at_usual_return(
        &mut self,
        measurement: &Measurement,
    ) -> Result<Measurement, MeasurementError> {
        let set = measurement.pattern_set;
        let energy = self.views.sight(set).energy;
        let scale = match self.last_brightness {
            Some(last) => self.model.scale(last),
            None => self.views.linear(set).map_or(1.0, |(linear, moments)| {
                loudness(linear, moments, measurement, &self.description.noise).sqrt()
            }),
        };
        self.at_scale(measurement, scale, energy)
    }

    /// From what the frame before predicts; `None` where there is none, or where the track is lost.
    fn signed_warm(
        &mut self,
        measurement: &Measurement,
        rough: &Measurement,
        sure: &[f32],
    ) -> Result<Option<Settled>, MeasurementError> {
        let (Some(belief), Some(scale)) = (
            self.predict(measurement),
            self.last_brightness.map(|last| self.model.scale(last)),
        ) else {
            return Ok(None);
        };
        let k = self.model.code_len();
        let (code, error) = belief.mean.split_at(k);
        let code: Vec<f32> = code.iter().map(|&u| u as f32).collect();
        let carried = self.carried_readings(measurement, scale);
        let unsigned = self.unsigned(rough, sure);
        let guess = unsigned.explained(&code, error, carried.as_deref());
        let from = Settled {
            y: guess,
            code,
            ratio: self.error_scale,
            loss: f64::INFINITY,
            expected: vec![],
        };
        let (scale, scaled) = self.told(measurement, &from, sure)?;
        let carried = self.carried_readings(measurement, scale);
        let belief = |_| belief.clone();
        let settled = self.settled(&scaled, from, sure, belief, carried.as_deref())?;
        let most = self.settings.lost_residual_ratio * self.error_scale;
        Ok(Some(settled).filter(|settled| settled.ratio <= most))
    }

    /// From the magnitudes alone.
    fn signed_cold(
        &mut self,
        measurement: &Measurement,
        rough: &Measurement,
        sure: &[f32],
    ) -> Result<Settled, MeasurementError> {
        let mut guesses = self.guesses(rough, sure);
        if guesses.is_empty() {
            guesses.extend(self.unsigned(rough, sure).cold());
        }
        let (k, len) = (self.model.code_len(), self.model.state_len());
        let belief = |scale: f64| Belief::prior(k, len, scale).beside(scale);
        let mut best: Option<Settled> = None;
        for guess in guesses {
            let next = self.settled(rough, guess, sure, belief, None)?;
            best = Some(better(best, next));
        }
        let best = best.ok_or(MeasurementError::Degenerate {
            gain: measurement.gain,
        })?;
        let (_, scaled) = self.told(measurement, &best, sure)?;
        self.settled(&scaled, best, sure, belief, None)
    }

    /// How much brighter than usual the frame is by the signs of a guess, and the magnitudes at the return that the prior
    /// knows.
    fn told(
        &self,
        measurement: &Measurement,
        guess: &Settled,
        sure: &[f32],
    ) -> Result<(f32, Measurement), MeasurementError> {
        let (brightness, scaled) = self.scaled(&with_signs(measurement, &guess.y, sure))?;
        let y = scaled.y.iter().map(|y| y.abs()).collect();
        Ok((self.model.scale(brightness), Measurement { y, ..scaled }))
    }

    /// The signs of a guess settled among magnitudes, at the return that the prior knows, that are whitened together.
    fn settled(
        &mut self,
        magnitudes: &Measurement,
        guess: Settled,
        sure: &[f32],
        belief: impl Fn(f64) -> Belief,
        carried: Option<&[f32]>,
    ) -> Result<Settled, MeasurementError> {
        let system = self.views.system(magnitudes)?;
        let from = Settled {
            y: signed(&magnitudes.y, &guess.y, sure),
            ..guess
        };
        let settled = self
            .unsigned(magnitudes, sure)
            .settle(&system, belief, carried, from);
        settled.ok_or(MeasurementError::Degenerate {
            gain: magnitudes.gain,
        })
    }

    /// Guesses on principal directions, each with the code that goes with it; none where the prior knows no directions.
    fn guesses(&self, rough: &Measurement, sure: &[f32]) -> Vec<Settled> {
        let Some((linear, moments)) = self.views.linear(rough.pattern_set) else {
            return vec![];
        };
        let noise = &self.description.noise;
        let means = guesses(linear, moments, noise, rough, sure);
        let settled = means.into_iter().filter_map(|mean| {
            let code = linear.code(moments, noise, &with_signs(rough, &mean, sure))?;
            Some(Settled {
                y: mean,
                code,
                ratio: 1.0,
                loss: f64::INFINITY,
                expected: vec![],
            })
        });
        settled.collect()
    }

    fn unsigned<'a>(&'a self, measurement: &'a Measurement, sure: &'a [f32]) -> Unsigned<'a> {
        Unsigned {
            model: &self.model,
            settings: &self.settings,
            fused: self.views.fused(measurement.pattern_set),
            noise: &self.description.noise,
            sure,
            measurement,
        }
    }

    /// What the rest of the frame before reads, (J·m), at a scale of this frame.
    fn carried_readings(&self, measurement: &Measurement, scale: f32) -> Option<Buffer<f32>> {
        let rest = self.carried(measurement, scale)?;
        let pattern = &self.description.patterns[measurement.pattern_set];
        let mut readings = without(pattern, &rest, &vec![0.0; measurement.y.len()]);
        readings.iter_mut().for_each(|y| *y = -*y);
        Some(readings)
    }

    /// For methods without a code: from principal directions, where the method has them, or from a flat image.
    fn signed_image(&self, rough: &Measurement, sure: &[f32]) -> Vec<f32> {
        let set = rough.pattern_set;
        let pattern = &self.description.patterns[set];
        let principal = self.settings.method == Method::Principal;
        let linear = principal.then(|| self.views.linear(set)).flatten();
        let guesses = linear.map(|(linear, moments)| {
            guesses(linear, moments, &self.description.noise, rough, sure)
        });
        match guesses.unwrap_or_default().first() {
            Some(likeliest) => signed(&rough.y, likeliest, sure),
            None => {
                let (channels, pixels) = (self.description.channels(), self.description.pixels());
                let nothing = vec![0.0; rough.y.len()];
                let like = without(pattern, &vec![-1.0; channels * pixels], &nothing);
                signed(&rough.y, &like, sure)
            }
        }
    }
}

fn with_signs(measurement: &Measurement, like: &[f32], sure: &[f32]) -> Measurement {
    Measurement {
        y: signed(&measurement.y, like, sure),
        missing: measurement.missing.clone(),
        ..*measurement
    }
}

/// A measurement with the signs that are expected, in \[−1, 1\], (J·m).
fn found(measurement: &Measurement, expected: Vec<f32>) -> (Measurement, Signs) {
    let readings = measurement.y.iter().zip(&expected);
    let signed = Measurement {
        y: readings.map(|(b, sign)| b.copysign(*sign)).collect(),
        missing: measurement.missing.clone(),
        ..*measurement
    };
    (signed, Signs { expected })
}

fn better(best: Option<Settled>, next: Settled) -> Settled {
    best.filter(|best| best.loss <= next.loss).unwrap_or(next)
}
