//! What real sensors do that no description tells of.

use super::detector::DetectorError;
use super::{MAX_RANGE, Rays, Scene};
use crate::frame::RangeImage;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use std::f64::consts::TAU;

/// How a virtual sensor falls short of its description; the default one does not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Imperfections {
    /// time over which the patterns of a frame are shown one after another while the scene moves, s; 0 = all at once
    pub rolling_s: f32,
    /// standard deviation of g; all readings of a frame are scaled by 1 + g, drawn for each frame, unitless
    pub gain_error: f32,
    /// a gain error that changes slowly, within frames and along them
    pub drift: Drift,
    /// how far the patterns lie to the right of where they should, pixels, in [0, 1]. Of an image that is all there is, a
    /// pixel between two is their average, which smooths it; a scene is shifted alone by casting it along [`Rays::turned`].
    pub misregistered: f32,
    /// share of readings that are lost, in [0, 1)
    pub missing: f32,
}

/// A slow gain error: a reading taken at t, s, is scaled by 1 + a·sin(2πt/T).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Drift {
    /// a, unitless, in [0, 0.5]; 0 = none
    pub amplitude: f32,
    /// T, s
    pub period_s: f32,
    /// time over which the readings of a frame are taken one after another, centred on its own, s; 0 = all at once
    pub frame_s: f32,
}

impl Drift {
    fn check(&self) -> Result<(), DetectorError> {
        value(
            "the amplitude of the gain's drift",
            (0.0..=0.5).contains(&self.amplitude),
            "a number in [0, 0.5]",
            self.amplitude,
        )?;
        value(
            "the period of the gain's drift, s",
            self.amplitude == 0.0 || self.period_s.is_normal() && self.period_s > 0.0,
            "a number > 0",
            self.period_s,
        )?;
        value(
            "the seconds over which a frame's gain drifts",
            self.frame_s.is_finite() && self.frame_s >= 0.0,
            "a number ≥ 0",
            self.frame_s,
        )
    }

    /// Scales the readings of a frame of the time `time_s`, (J·m), each by the gain at its own moment.
    pub(super) fn scale(&self, y: &mut [f32], readings: usize, time_s: f64) {
        if self.amplitude == 0.0 {
            return;
        }
        let (amplitude, period_s) = (f64::from(self.amplitude), f64::from(self.period_s));
        for channel in y.chunks_exact_mut(readings) {
            for (j, y) in channel.iter_mut().enumerate() {
                let share = (j as f64 + 0.5) / readings as f64 - 0.5;
                let t = time_s + share * f64::from(self.frame_s);
                *y *= (1.0 + amplitude * (TAU * t / period_s).sin()) as f32;
            }
        }
    }
}

fn value(
    what: &'static str,
    allowed: bool,
    expected: &'static str,
    got: f32,
) -> Result<(), DetectorError> {
    match allowed {
        true => Ok(()),
        false => Err(DetectorError::Value {
            what,
            expected,
            got,
        }),
    }
}

/// Intervals between the moments at which a moving scene is cast; readings in between are interpolated.
const INTERVALS: usize = 8;

impl Imperfections {
    pub(super) fn check(&self) -> Result<(), DetectorError> {
        self.drift.check()?;
        value(
            "the seconds over which patterns are shown",
            self.rolling_s.is_finite() && self.rolling_s >= 0.0,
            "a number ≥ 0",
            self.rolling_s,
        )?;
        value(
            "the gain error",
            (0.0..=0.5).contains(&self.gain_error),
            "a number in [0, 0.5]",
            self.gain_error,
        )?;
        value(
            "the pixels by which patterns are misregistered",
            (0.0..=1.0).contains(&self.misregistered),
            "a number in [0, 1]",
            self.misregistered,
        )?;
        value(
            "the share of missing readings",
            (0.0..1.0).contains(&self.missing),
            "a number in [0, 1)",
            self.missing,
        )
    }

    /// What the patterns of a frame see: the scene at evenly spaced moments from the first pattern to the last, into
    /// `images`, a single one where all are shown at once. `time`, s, is the middle of the exposure, so that the frame's truth
    /// and stamp are those of a sensor that shows all at once.
    pub fn expose(&self, scene: &Scene, rays: &Rays, time: f32, images: &mut Vec<RangeImage>) {
        let moments = if self.rolling_s > 0.0 {
            INTERVALS + 1
        } else {
            1
        };
        images.resize(moments, RangeImage::default());
        for (index, image) in images.iter_mut().enumerate() {
            let share = index as f32 / INTERVALS as f32 - 0.5;
            let moment = if moments == 1 {
                time
            } else {
                time + share * self.rolling_s
            };
            scene.cast(rays, moment, MAX_RANGE, image);
        }
    }

    /// Moves the channels of an image with rows of `cols` pixels, (J·n), so that pixel i takes in light of its right-hand
    /// neighbour; the last of a row sees itself.
    pub(super) fn shift(&self, x: &mut [f32], cols: usize) {
        let share = self.misregistered;
        if share == 0.0 {
            return;
        }
        for row in x.chunks_exact_mut(cols) {
            for i in 0..cols - 1 {
                row[i] += share * (row[i + 1] - row[i]);
            }
        }
    }

    /// Scales the readings of a frame.
    pub(super) fn scale(&self, y: &mut [f32], rng: &mut ChaCha8Rng) {
        if self.gain_error > 0.0 {
            let drawn: f32 = StandardNormal.sample(rng);
            let factor = (1.0 + self.gain_error * drawn).max(0.0);
            y.iter_mut().for_each(|y| *y *= factor);
        }
    }

    /// Loses readings; which.
    pub(super) fn lose(&self, y: &mut [f32], rng: &mut ChaCha8Rng) -> Vec<u32> {
        let mut missing = vec![];
        if self.missing > 0.0 {
            for (index, y) in y.iter_mut().enumerate() {
                if rng.random::<f32>() < self.missing {
                    missing.push(index as u32);
                    *y = 0.0;
                }
            }
        }
        missing
    }
}

/// Readings of patterns shown one after another, (J·m), from those of every moment of the exposure: reading j of m is taken
/// at the share j/m of it, between the two moments nearest to that.
pub(super) fn rolled(moments: &[Vec<f32>], readings: usize) -> Vec<f32> {
    let intervals = (moments.len() - 1) as f32;
    (0..moments[0].len())
        .map(|i| {
            let at = intervals * (i % readings) as f32 / readings as f32;
            let (before, share) = (at as usize, at.fract());
            let (a, b) = (moments[before][i], moments[before + 1][i]);
            a + share * (b - a)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::{Noise, Split, VirtualSensor, describe, frame, rays, scene};
    use super::*;
    use rand_chacha::rand_core::SeedableRng;

    const PERFECT: Imperfections = Imperfections {
        rolling_s: 0.0,
        gain_error: 0.0,
        drift: Drift {
            amplitude: 0.0,
            period_s: 0.0,
            frame_s: 0.0,
        },
        misregistered: 0.0,
        missing: 0.0,
    };

    /// Readings of 64 × 64 pixels, two channels, 100 patterns, without noise.
    fn measured(
        imperfections: Imperfections,
        images: &[RangeImage],
        seed: u64,
    ) -> (Vec<f32>, Vec<u32>) {
        let description = describe((64, 64), &[0.2, 1.0], 30.0, (1, 100), 3).unwrap();
        let sensor = VirtualSensor::imperfect(description, Noise::None, imperfections).unwrap();
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let measurement = sensor.measure_moving(images, 0, &mut rng).unwrap();
        (measurement.y, measurement.missing)
    }

    fn still() -> RangeImage {
        let mut image = RangeImage::default();
        frame(Split::HeldOut, 5, &rays(64, 64), &mut image);
        image
    }

    #[test]
    fn the_default_is_perfect() {
        assert_eq!(Imperfections::default(), PERFECT);
        let description = describe((64, 64), &[0.2, 1.0], 30.0, (1, 100), 3).unwrap();
        let exact = super::super::readings(&description, 0, &still());
        assert_eq!(measured(PERFECT, &[still()], 1), (exact, vec![]));
    }

    #[test]
    fn a_scene_that_stands_still_may_be_shown_one_by_one() {
        let y = measured(PERFECT, &[still()], 1).0;
        let images = vec![still(); 9];
        assert_eq!(measured(PERFECT, &images, 1).0, y);
    }

    #[test]
    fn each_reading_has_its_own_moment() {
        let (dark, mut images) = (RangeImage::empty(64, 64), vec![]);
        let bright = measured(PERFECT, &[still()], 1).0;
        images.resize(2, dark);
        images[1] = still();
        let y = measured(PERFECT, &images, 1).0;
        for (i, (y, bright)) in y.iter().zip(&bright).enumerate() {
            let share = (i % 100) as f32 / 100.0;
            assert!((y - share * bright).abs() < 1e-4, "{i}");
        }
        let scene = scene(Split::HeldOut, 2);
        let (mut moments, mut middle) = (vec![], RangeImage::default());
        let rolling = Imperfections {
            rolling_s: 0.1,
            ..PERFECT
        };
        rolling.expose(&scene, &rays(64, 64), 1.0, &mut moments);
        scene.cast(&rays(64, 64), 1.0, MAX_RANGE, &mut middle);
        assert_eq!((moments.len(), &moments[4]), (9, &middle));
        scene.cast(&rays(64, 64), 0.95, MAX_RANGE, &mut middle);
        assert_eq!(moments[0], middle);
        PERFECT.expose(&scene, &rays(64, 64), 0.95, &mut moments);
        assert_eq!(moments, [middle]);
    }

    #[test]
    fn gain_errors_scale_all_readings_alike() {
        let y = measured(PERFECT, &[still()], 1).0;
        let scaled = Imperfections {
            gain_error: 0.1,
            ..PERFECT
        };
        let factors = [1, 2].map(|seed| {
            let wrong = measured(scaled, &[still()], seed).0;
            let factor = wrong[0] / y[0];
            assert!(
                y.iter()
                    .zip(&wrong)
                    .all(|(y, w)| (factor * y - w).abs() < 1e-4)
            );
            factor
        });
        assert!(factors[0] != factors[1] && factors.iter().all(|f| (f - 1.0).abs() < 0.5));
    }

    #[test]
    fn a_drift_scales_each_reading_by_the_gain_at_its_moment() {
        let y = measured(PERFECT, &[still()], 1).0;
        let drift = Drift {
            amplitude: 0.1,
            period_s: 4.0,
            frame_s: 2.0,
        };
        let drifting = Imperfections { drift, ..PERFECT };
        let description = describe((64, 64), &[0.2, 1.0], 30.0, (1, 100), 3).unwrap();
        let sensor = VirtualSensor::imperfect(description, Noise::None, drifting).unwrap();
        let factors = |time_s| -> Vec<f32> {
            let mut rng = ChaCha8Rng::seed_from_u64(1);
            let wrong = sensor.measure_at(&[still()], 0, time_s, &mut rng).unwrap();
            wrong.y.iter().zip(&y).map(|(w, y)| w / y).collect()
        };
        let at_rest = factors(0.0); // from −90° to 90° of the sine
        assert!((at_rest[0] - 0.9).abs() < 1e-3 && (at_rest[99] - 1.1).abs() < 1e-3);
        assert!(
            (at_rest[100] - 0.9).abs() < 1e-3,
            "the next channel begins anew"
        );
        assert!(
            at_rest[..100]
                .windows(2)
                .all(|pair| pair[0] < pair[1] + 1e-5)
        );
        let later = factors(1.0); // from 0° to 180°
        assert!((later[0] - 1.0).abs() < 2e-3 && (later[50] - 1.1).abs() < 1e-3);
    }

    #[test]
    fn half_a_pixel_off_averages_neighbours() {
        let half = Imperfections {
            misregistered: 0.5,
            ..PERFECT
        };
        let mut x = vec![0.0, 2.0, 6.0, 1.0, 1.0, 3.0];
        half.shift(&mut x, 3);
        assert_eq!(x, [1.0, 4.0, 6.0, 1.0, 2.0, 3.0]);
        assert_ne!(
            measured(half, &[still()], 1),
            measured(PERFECT, &[still()], 1)
        );
    }

    #[test]
    fn readings_are_lost_at_the_share_asked_for() {
        let losing = Imperfections {
            missing: 0.05,
            ..PERFECT
        };
        let lost: usize = (0..50)
            .map(|seed| measured(losing, &[still()], seed).1.len())
            .sum();
        assert!((400..600).contains(&lost), "{lost} of 10,000");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for bad in [
            Imperfections {
                rolling_s: f32::NAN,
                ..PERFECT
            },
            Imperfections {
                gain_error: -0.1,
                ..PERFECT
            },
            Imperfections {
                drift: Drift {
                    amplitude: 0.1,
                    ..Drift::default()
                },
                ..PERFECT
            },
            Imperfections {
                misregistered: 1.5,
                ..PERFECT
            },
            Imperfections {
                missing: 1.0,
                ..PERFECT
            },
        ] {
            assert!(
                matches!(bad.check(), Err(DetectorError::Value { .. })),
                "{bad:?}"
            );
        }
    }
}
