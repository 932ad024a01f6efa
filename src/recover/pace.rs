//! How fast a track forgets: its time constants, learnt from its innovations.
//!
//! Time constants that are too long make the innovations larger than predicted, and those that are too short waste what the
//! frames before say. The likelihood of what came is climbed by one scoring step a frame, whose information is forgotten in a
//! few frames: innovation-based adaptive filtering (Mehra 1970, "On the identification of variances and adaptive Kalman
//! filtering"), with the derivative of the likelihood in place of correlations.

use super::innovation::Lesson;
use serde::{Deserialize, Serialize};

/// Share of what was learnt that still counts a frame later.
const MEMORY: f64 = 0.8;
/// Information that the time constants in the settings have for themselves at first.
const FIRST_INFORMATION: f64 = 30.0;
/// Least information that a step is weighed with.
const LEAST_INFORMATION: f64 = 1.0;
/// Longest step of a frame, in ln τ.
const LONGEST_STEP: f64 = 0.35;
/// How many times shorter, and longer, than in the settings a time constant may become.
const SHORTENED: f64 = 40.0;
const LENGTHENED: f64 = 5.0;

/// Time constants, s.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TimeConstants {
    /// of u
    pub(super) code: f64,
    /// of c
    pub(super) error: f64,
    /// of what neither says
    pub(super) rest: f64,
}

/// The time constants of a track: u and c keep their ratio, the rest goes its own way.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Pace {
    first: TimeConstants,
    state: Learnt,
    rest: Learnt,
}

/// A time constant over that of the settings, as it is learnt.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Learnt {
    log: f64,
    information: f64,
}

impl Pace {
    /// Of a track that has not begun.
    pub(super) fn new(first: TimeConstants) -> Self {
        Self {
            first,
            state: Learnt::NOTHING,
            rest: Learnt::NOTHING,
        }
    }

    /// What was learnt, over other time constants to start with.
    pub(super) fn over(self, first: TimeConstants) -> Self {
        Self { first, ..self }
    }

    /// Whether its numbers can be a track's.
    pub(super) fn is_usable(&self) -> bool {
        let TimeConstants { code, error, rest } = self.now();
        let usable = |v: f64| v.is_finite() && v > 0.0;
        let learnt = [self.state.information, self.rest.information];
        [code, error, rest].into_iter().chain(learnt).all(usable)
    }

    /// As they are now.
    pub(super) fn now(&self) -> TimeConstants {
        let (state, rest) = (self.state.log.exp(), self.rest.log.exp());
        TimeConstants {
            code: self.first.code * state,
            error: self.first.error * state,
            rest: self.first.rest * rest,
        }
    }

    /// Takes in what a warm frame says of them; not every one says anything of the state's.
    pub(super) fn learn(&mut self, state: Option<Lesson>, rest: Lesson) {
        if let Some(state) = state {
            self.state.take(state);
        }
        self.rest.take(rest);
    }
}

impl Learnt {
    const NOTHING: Self = Self {
        log: 0.0,
        information: FIRST_INFORMATION,
    };

    /// Fisher scoring; what is not finite teaches nothing.
    fn take(&mut self, lesson: Lesson) {
        if !lesson.score.is_finite() || !lesson.information.is_finite() {
            return;
        }
        let information = MEMORY * self.information + lesson.information;
        self.information = information.max(LEAST_INFORMATION);
        let step = lesson.score / self.information;
        let log = self.log + step.clamp(-LONGEST_STEP, LONGEST_STEP);
        self.log = log.clamp(-SHORTENED.ln(), LENGTHENED.ln());
    }
}

#[cfg(test)]
mod tests {
    use super::super::belief::{Belief, Posterior};
    use super::super::innovation::Innovation;
    use super::*;
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};
    use rand_distr::{Distribution, StandardNormal};

    const FIRST: TimeConstants = TimeConstants {
        code: 1.0,
        error: 0.6,
        rest: 0.3,
    };
    /// unknowns, each read with an error of variance 0.05
    const LEN: usize = 40;
    const VARIANCE: f64 = 0.05;

    /// The factor on time constants that a filter learns over 60 frames, 0.1 s apart, of unknowns whose own are `true_s` s.
    fn learnt(true_s: f64) -> f64 {
        let mut white = StandardNormal.sample_iter(ChaCha8Rng::seed_from_u64(1));
        let mut draw = move || -> f64 { white.next().unwrap() };
        let phi = (-0.1 / true_s).exp();
        let mut truth: Vec<f64> = (0..LEN).map(|_| draw()).collect();
        let mut pace = Pace::new(FIRST);
        let mut last: Option<Posterior> = None;
        for _ in 0..60 {
            for v in &mut truth {
                *v = phi * *v + (1.0 - phi * phi).sqrt() * draw();
            }
            let y: Vec<f64> = truth.iter().map(|v| v + VARIANCE.sqrt() * draw()).collect();
            let now = pace.now();
            let predicted = last
                .as_ref()
                .and_then(|last| last.predict(LEN, 0.1, (now.code, now.error), 1.0));
            let belief = predicted.unwrap_or_else(|| Belief::prior(LEN, LEN, 1.0));
            let mut precision = belief.precision.clone();
            (0..LEN).for_each(|i| precision[(i, i)] += 1.0 / VARIANCE);
            let mean = (0..LEN).map(|i| {
                let known = belief.precision[(i, i)] * belief.mean[i] + y[i] / VARIANCE;
                known / precision[(i, i)]
            });
            let mean = mean.collect();
            let posterior = Posterior { mean, precision };
            if let Some(last) = &last {
                let innovation = Innovation {
                    last,
                    belief: &belief,
                    posterior: &posterior,
                    error_scale: 1.0,
                };
                let lesson = innovation.lesson(LEN, [0.1 / now.code, 0.1 / now.error]);
                pace.learn(lesson, Lesson::default());
            }
            last = Some(posterior);
        }
        pace.now().code
    }

    #[test]
    fn a_filter_learns_the_time_constant_of_what_it_follows() {
        for true_s in [0.1, 0.3, 1.0, 3.0] {
            let found = learnt(true_s);
            assert!(
                found / true_s < 1.6 && true_s / found < 1.6,
                "{found} s, not {true_s} s"
            );
        }
    }

    #[test]
    fn what_cannot_be_teaches_nothing_and_no_lesson_goes_too_far() {
        let mut pace = Pace::new(FIRST);
        let bad = [(f64::NAN, 1.0), (1.0, f64::NAN), (f64::INFINITY, 0.0)];
        for (score, information) in bad {
            let lesson = Lesson { score, information };
            pace.learn(Some(lesson), lesson);
            assert_eq!(pace.now(), FIRST);
        }
        for sign in [-1.0, 1.0] {
            let lesson = Lesson {
                score: sign * 1e9,
                information: 0.0,
            };
            (0..1000).for_each(|_| pace.learn(Some(lesson), lesson));
            let now = pace.now();
            assert!(
                now.code > 0.02 && now.code < 5.1 && now.rest > 0.007,
                "{now:?}"
            );
        }
    }

    #[test]
    fn the_state_keeps_the_ratio_of_its_time_constants() {
        let mut pace = Pace::new(FIRST);
        let lesson = Lesson {
            score: -5.0,
            information: 10.0,
        };
        pace.learn(Some(lesson), Lesson::default());
        let now = pace.now();
        assert!(now.code < 1.0 && (now.error / now.code - 0.6).abs() < 1e-12);
        assert!((now.rest - 0.3).abs() < 1e-12);
    }
}
