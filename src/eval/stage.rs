//! Where methods meet: one sensor, and the frames that it measures.

use super::footage::{Recorded, Run};
use super::logged::Logged;
use super::problem::{At, Case};
use super::recovery::sequence;
use super::{Comparison, EvalError, Options};
use crate::frame::RangeImage;
use crate::prior::Prior;
use crate::sensing::SensorDescription;
use crate::sim::{self, Family};
use rand_chacha::ChaCha8Rng;
use std::sync::Arc;

/// One sensor and what it is shown.
pub(super) struct Stage<'a> {
    pub(super) at: At,
    pub(super) sensor: Arc<SensorDescription>,
    source: Source<'a>,
}

/// Where runs come from.
#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    /// simulated scenes, the last frame of each scored
    Simulated(Case),
    /// a recorded sequence as one run
    Recorded(&'a Recorded, Case),
    /// a log as one run
    Logged(&'a Logged),
}

impl Comparison {
    /// A stage for each case of the problem and each kind of scenes, then one for each log.
    pub(super) fn stages(&self, prior: &Prior) -> Result<Vec<Stage<'_>>, EvalError> {
        let mut stages = vec![];
        for case in self.problem.cases(prior, &self.options) {
            let simulated = (self.options.frames > 0).then_some(Source::Simulated(case));
            let recorded = self.recorded.iter().map(|r| Source::Recorded(r, case));
            for source in simulated.into_iter().chain(recorded) {
                let max_range_m = match source {
                    Source::Recorded(recorded, _) => recorded.max_range_m,
                    _ => sim::MAX_RANGE,
                };
                stages.push(Stage {
                    at: case.at(self.problem),
                    sensor: Arc::new(case.describe(prior, max_range_m, &self.options)?),
                    source,
                });
            }
        }
        stages.extend(self.logged.iter().map(|log| Stage {
            at: log.at(),
            sensor: Arc::clone(&log.sensor),
            source: Source::Logged(log),
        }));
        Ok(stages)
    }
}

impl Stage<'_> {
    /// Whether its runs are of different scenes.
    pub(super) fn simulated(&self) -> bool {
        matches!(self.source, Source::Simulated(_))
    }

    /// Whether its number of measurements is not for the comparison to choose.
    pub(super) fn logged(&self) -> bool {
        matches!(self.source, Source::Logged(_))
    }

    /// How many runs there are.
    pub(super) fn len(&self, options: &Options) -> usize {
        match self.source {
            Source::Simulated(_) => options.frames,
            Source::Recorded(..) | Source::Logged(_) => 1,
        }
    }

    /// Run number `index`, and the scene that it shows.
    pub(super) fn run(&self, index: usize, options: &Options) -> (String, Run) {
        let sensor = &self.sensor;
        match self.source {
            Source::Simulated(case) => {
                let mut measure = |set, frame: &RangeImage, rng: &mut ChaCha8Rng| {
                    case.measure(sensor, set, frame, rng)
                };
                let (lead_in, last, truth) = sequence(sensor, options, index, &mut measure);
                let before = lead_in.into_iter().map(|measurement| (measurement, None));
                let run = before.chain([(last, Some(truth))]).collect();
                (Family::ALL[index % Family::ALL.len()].to_string(), run)
            }
            Source::Recorded(recorded, case) => {
                (recorded.name.clone(), recorded.run(&case, sensor, options))
            }
            Source::Logged(log) => (log.name.clone(), log.run(options)),
        }
    }
}
