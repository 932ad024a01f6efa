//! Magnitudes on a track: signs first, then the state of readings that have them.

use super::{Tracker, without};
use crate::clock::Clock;
use crate::frame::Measurement;
use crate::pool::Buffer;
use crate::recover::belief::Belief;
use crate::recover::brightness::Brightness;
use crate::recover::error::MeasurementError;
use crate::recover::guesses::{Guess, guesses};
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
        if self.settings.method != Method::Latent {
            let rough = self.at_usual_return(measurement, self.last_brightness)?;
            return Ok(Some(found(measurement, self.signed_image(&rough, &sure))));
        }
        let settled = match self.signed_warm(measurement, &sure)? {
            Some(settled) => settled,
            None => self.signed_cold(measurement, &sure)?,
        };
        Ok(Some(found(measurement, settled.expected)))
    }

    /// At about the return that the prior knows, as bright as the frame before or, where none tells, as its magnitudes are: how bright
    /// the frame is, is told exactly once signs are known.
    fn at_usual_return(
        &mut self,
        measurement: &Measurement,
        last: Option<Brightness>,
    ) -> Result<Measurement, MeasurementError> {
        let set = measurement.pattern_set;
        let energy = self.views.sight(set).energy;
        let scale = match last {
            Some(last) => self.model.scale(last),
            None => {
                let noise = &self.description.noise;
                let told = self.views.linear(set).map_or(1.0, |(linear, moments)| {
                    loudness(linear, moments, measurement, noise).sqrt()
                });
                let darkest = self.views.sight(set).darkest(measurement.gain, noise);
                told.max(darkest / self.model.rms_return)
            }
        };
        self.at_scale(measurement, scale, energy)
    }

    /// From what the frame before predicts; `None` where there is none, or where the track is lost.
    fn signed_warm(
        &mut self,
        measurement: &Measurement,
        sure: &[f32],
    ) -> Result<Option<Settled>, MeasurementError> {
        let (Some(belief), Some(last)) = (self.predict(measurement), self.last_brightness) else {
            return Ok(None);
        };
        let rough = self.at_usual_return(measurement, Some(last))?;
        let scale = self.model.scale(last);
        let k = self.model.code_len();
        let (code, error) = belief.mean.split_at(k);
        let code: Vec<f32> = code.iter().map(|&u| u as f32).collect();
        let carried = self.carried_readings(measurement, scale);
        let unsigned = self.unsigned(&rough, sure);
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
        sure: &[f32],
    ) -> Result<Settled, MeasurementError> {
        let rough = self.at_usual_return(measurement, None)?;
        let (k, len) = (self.model.code_len(), self.model.state_len());
        let belief = |scale: f64| Belief::prior(k, len, scale).beside(scale);
        let mut best: Option<Settled> = None;
        for Guess { mean, code } in self.guesses(&rough, sure) {
            let guess = Settled {
                y: mean,
                code,
                ratio: 1.0,
                loss: f64::INFINITY,
                expected: vec![],
            };
            if let Ok(next) = self.settled(&rough, guess, sure, belief, None) {
                best = Some(better(best, next));
            }
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

    /// See [`guesses`].
    fn guesses(&self, rough: &Measurement, sure: &[f32]) -> Vec<Guess> {
        let linear = self.views.linear(rough.pattern_set);
        let noise = &self.description.noise;
        linear.map_or(vec![], |linear| guesses(linear, noise, rough, sure))
    }

    fn unsigned<'a>(&'a self, measurement: &'a Measurement, sure: &'a [f32]) -> Unsigned<'a> {
        Unsigned {
            model: &self.model,
            settings: &self.settings,
            fused: self.views.fused(measurement.pattern_set),
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

    /// What is expected of signs, (J·m), by methods without a code: from principal directions, where the method has them, or from a
    /// flat image.
    fn signed_image(&self, rough: &Measurement, sure: &[f32]) -> Vec<f32> {
        let principal = self.settings.method == Method::Principal;
        let guesses = principal.then(|| self.guesses(rough, sure));
        match guesses.unwrap_or_default().first() {
            Some(likeliest) => self.unsigned(rough, sure).expected(&likeliest.mean),
            None => {
                let pattern = &self.description.patterns[rough.pattern_set];
                let flat = vec![-1.0; self.description.channels() * self.description.pixels()];
                let like = without(pattern, &flat, &vec![0.0; rough.y.len()]);
                let of = |(like, sure): (&f32, &f32)| match *sure {
                    0.0 => like.signum(),
                    sure => sure,
                };
                like.iter().zip(sure.iter().cycle()).map(of).collect()
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

/// A measurement with the signs that are expected, in \[−1, 1\], (J·m): nothing is of what is missing.
fn found(measurement: &Measurement, mut expected: Vec<f32>) -> (Measurement, Signs) {
    let missing = measurement.missing.iter();
    missing.for_each(|&i| expected[i as usize] = 0.0);
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
