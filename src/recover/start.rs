//! How a frame is started: warm where there is a frame before, cold where there is none or where the track is lost.

use super::belief::Belief;
use super::cold::{lowest, random_codes};
use super::deadline::Deadline;
use super::fuse::{Readings, System};
use super::model::Model;
use super::reference::Solver;
use super::report::{Settings, StartKind};
use super::solve::{Problem, Solution, StopReason};

/// The greatest error scale, and one over the least.
const MOST_ERROR_SCALE: f64 = 30.0;
/// How much of it a frame decides.
const ERROR_SCALE_SHARE: f64 = 0.5;

/// One frame, ready to be started.
pub(super) struct Start<'a> {
    pub(super) model: &'a Model,
    pub(super) settings: &'a Settings,
    pub(super) system: &'a System,
    /// the frame's, whitened
    pub(super) whitened: &'a [f32],
    /// e² of the track
    pub(super) error_scale: f64,
    pub(super) deadline: &'a Deadline<'a>,
}

/// What a frame came to.
pub(super) struct Chosen {
    pub(super) start: StartKind,
    pub(super) solution: Solution,
    /// e² that the belief was taken with
    pub(super) error_scale: f64,
    /// whether the solution is one of the frame before, and goes with its rest
    pub(super) warm: bool,
    /// whether the track was found lost with no time left to start anew: the next frame must
    pub(super) lost: bool,
}

impl Start<'_> {
    /// `before` is what the frame before predicts, and the readings beyond its rest; `linear` makes the linear estimate of
    /// u, (k). `None` where nothing finite comes out.
    pub(super) fn choose(
        &self,
        before: Option<(&Belief, &Readings)>,
        linear: impl Fn() -> Option<Vec<f32>>,
    ) -> Option<Chosen> {
        let warm = before.and_then(|(belief, left)| self.warm(belief, left));
        let Some(warm) = warm else {
            let (solution, error_scale) = self.cold(linear())?;
            return Some(Chosen {
                start: StartKind::Cold,
                solution,
                error_scale,
                warm: false,
                lost: false,
            });
        };
        let lost = self.lost(&warm);
        let late = lost && (warm.stop == StopReason::Deadline || self.deadline.nears());
        let mut warm = Chosen {
            start: StartKind::Warm,
            solution: warm,
            error_scale: self.error_scale,
            warm: true,
            lost: late,
        };
        if late {
            warm.solution.stop = StopReason::Deadline;
        }
        if late || !lost {
            return Some(warm);
        }
        let (fresh, error_scale) = self.cold(linear())?;
        let iterations = warm.solution.iterations + fresh.iterations;
        let stays = self
            .prior_cost(&warm.solution, error_scale)
            .is_some_and(|cost| cost < fresh.cost);
        let mut chosen = if stays {
            warm
        } else {
            Chosen {
                solution: fresh,
                error_scale,
                warm: false,
                ..warm
            }
        };
        chosen.start = StartKind::Restarted;
        chosen.solution.iterations = iterations;
        Some(chosen)
    }

    fn lost(&self, warm: &Solution) -> bool {
        let usual = self.error_scale * self.system.count() as f64;
        2.0 * warm.cost > self.settings.lost_residual_ratio * usual
            || 2.0 * warm.innovation > self.settings.lost_innovation_ratio * usual
    }

    /// From the frame before, as an iterated extended Kalman filter.
    fn warm(&self, belief: &Belief, left: &Readings) -> Option<Solution> {
        let start = belief.start(self.model.code_len());
        let problem = Problem::new(self.model, self.system, left, belief)?.by(self.deadline);
        let mut solution = problem.descend(&start, self.settings.limits);
        if solution.iterations == 0 {
            solution.posterior = Some(belief.unmoved()); // what was read has told u nothing
        }
        let finite = solution.cost.is_finite();
        finite.then(|| solution.with_outside(left))
    }

    /// From the measurement alone: the linear estimate, zero, random codes, each against its negative, whose basin near
    /// −ρ_d z* is the other one (Hand & Voroninski 2017, theorem 2). The lowest cost wins. With its e².
    fn cold(&self, linear: Option<Vec<f32>>) -> Option<(Solution, f64)> {
        let readings = &self.system.project_whitened(self.whitened.into());
        let k = self.model.code_len();
        let belief = Belief::prior(k, self.model.state_len(), 1.0);
        let problem = Problem::new(self.model, self.system, readings, &belief)?.by(self.deadline);
        let informed = linear.into_iter().chain([vec![0.0; k]]);
        let (informed, random) = match self.settings.solver {
            Solver::LevenbergMarquardt => (Some(informed), self.settings.random_starts),
            Solver::Subgradient => (None, 1),
            Solver::Adam => (None, self.settings.first_order.restarts),
        };
        let starts = informed
            .into_iter()
            .flatten()
            .chain(random_codes(k, random));
        let content = 0.5 * self.settings.content_ratio * readings.count as f64;
        let best = lowest(
            &problem,
            starts,
            |start| self.descend(&problem, start),
            content - 0.5 * readings.outside,
        )?;
        if !best.cost.is_finite() {
            return None;
        }
        let iterations = best.iterations;
        let best = best.with_outside(readings);
        // once more, with the spread of errors that this frame shows
        let error_scale = blended(1.0, 2.0 * best.cost / readings.count as f64);
        let belief = Belief::prior(k, self.model.state_len(), error_scale).beside(error_scale);
        let problem = Problem::new(self.model, self.system, readings, &belief)?.by(self.deadline);
        let start: Vec<f32> = best.state[..k].iter().map(|&u| u as f32).collect();
        let mut solution = self.descend(&problem, &start);
        solution.iterations += iterations;
        let finite = solution.cost.is_finite();
        finite.then(|| (solution.with_outside(readings), error_scale))
    }

    fn descend(&self, problem: &Problem<'_>, start: &[f32]) -> Solution {
        let (limits, first_order) = (self.settings.limits, self.settings.first_order);
        self.settings
            .solver
            .descend(problem, start, limits, first_order)
    }

    /// The cost of a warm solution had the frame been the first.
    fn prior_cost(&self, solution: &Solution, error_scale: f64) -> Option<f64> {
        let k = self.model.code_len();
        let belief = Belief::prior(k, self.model.state_len(), error_scale).beside(error_scale);
        let code: Vec<f32> = solution.state[..k].iter().map(|&u| u as f32).collect();
        let readings = self.system.project_whitened(self.whitened.into());
        let problem = Problem::new(self.model, self.system, &readings, &belief)?;
        Some(problem.cost_at(&code) + 0.5 * readings.outside)
    }
}

impl Solution {
    /// Counts in what lies outside the span of the system, which no state changes.
    pub(super) fn with_outside(mut self, readings: &Readings) -> Self {
        self.cost += 0.5 * readings.outside;
        self.innovation += 0.5 * readings.outside;
        self
    }
}

/// The next frame's error scale: of the last one and of what this frame's χ² over its readings says, in their logarithms.
///
/// Beyond their usual spread, errors are believed as at a first frame, however long it lasts: were the readings blamed for
/// all that the model does not explain, the prediction would grow stiffer where it is wrong, and no innovation large enough to
/// shorten the time constants.
pub(super) fn blended(last: f64, ratio: f64) -> f64 {
    let ratio = ratio.clamp(1.0 / MOST_ERROR_SCALE, MOST_ERROR_SCALE);
    let last = if ratio > 1.0 { 1.0 } else { last };
    (last.ln() * (1.0 - ERROR_SCALE_SHARE) + ratio.ln() * ERROR_SCALE_SHARE).exp()
}
