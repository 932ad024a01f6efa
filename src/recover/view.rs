//! What pattern sets make of a model: found once, for all sensors that show the same patterns.

use super::brightness::Sight;
use super::error::MeasurementError;
use super::fuse::{Fused, System};
use super::linear::{FrameMoments, Linear};
use super::method::Method;
use super::model::Model;
use super::report::Settings;
use super::signs::sure;
use crate::frame::Measurement;
use crate::sensing::{Data, Pattern, SensorDescription};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

/// Systems that a sensor keeps ready at most, beyond one for each pattern set.
const SPARE_SYSTEMS: usize = 8;
/// Noise levels are rounded to powers of this.
const GAIN_STEP: f32 = 1.25;
/// Steps beside its own at which a system serves too: noise that is twice as much or half as much weighs readings a little
/// differently, where whitening anew takes the time of many frames. What a frame comes to depends in so far on those before, also on
/// a track that starts anew.
const SERVES_STEPS: u32 = 3;

/// Readings of which no more than one may be missing, and how many at most, for the others to be told from all; where more are,
/// whitening those that are there takes less time.
const READINGS_OF_A_GAP: usize = 8;
const MOST_GAPS: usize = 512;

/// Pattern sets that are found ahead of their frames at most.
const MOST_AHEAD: usize = 16;

/// What one pattern set makes of a model, each part from when it is first asked for.
#[derive(Debug)]
struct View {
    /// of a sensor that shows it
    description: Arc<SensorDescription>,
    set: usize,
    lens: Lens,
    fused: OnceLock<Fused>,
    linear: OnceLock<Linear>,
    sight: OnceLock<Sight>,
    sure: OnceLock<Vec<f32>>,
    systems: Mutex<Vec<Weak<Whitened>>>,
}

/// What of the second moments is seen.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Lens {
    directions: usize,
    /// whether what they leave over is correlated from pixel to pixel
    correlated: bool,
}

/// The system of a pattern set at a noise level, from when it is first asked for.
#[derive(Debug)]
struct Whitened {
    view: Arc<View>,
    /// N₀ over the first channel's variance, (J × J)
    noise: Arc<[f32]>,
    level: i32,
    /// `None` where noise is not positive definite
    system: OnceLock<Option<Arc<System>>>,
}

/// What a track's next pattern sets make of its model, for another thread to find before their frames come.
#[derive(Debug)]
pub struct Ahead {
    model: Arc<Model>,
    wanted: Vec<Weak<Whitened>>,
}

/// The views of a model that sensors have.
#[derive(Debug, Default)]
pub(super) struct Shared(Mutex<Vec<Weak<View>>>);

/// A sensor's views, and the systems that it keeps ready.
#[derive(Debug)]
pub(super) struct Views {
    model: Arc<Model>,
    views: Vec<Arc<View>>,
    /// N₀ over the first channel's variance, (J × J), so that sensors share systems whatever their unit
    noise: Arc<[f32]>,
    /// that variance
    variance: f32,
    /// pattern sets and their systems, the longest unused first
    systems: VecDeque<(usize, Arc<Whitened>)>,
    /// the last one used with readings missing, and of which whole system it is
    gapped: Option<(Arc<System>, Vec<u32>, Arc<System>)>,
    /// those that the next pattern sets are likely to be seen by
    ahead: Vec<Arc<Whitened>>,
    /// whether nobody was told of those yet
    new_ahead: bool,
}

impl Views {
    pub(super) fn new(
        model: Arc<Model>,
        description: &Arc<SensorDescription>,
        settings: &Settings,
    ) -> Self {
        let lens = Lens::new(settings, description.data);
        let sets = 0..description.patterns.len();
        let view = |set| model.views.get(description, set, lens);
        let variance = description.noise[0];
        Self {
            views: sets.map(view).collect(),
            noise: description.noise.iter().map(|v| v / variance).collect(),
            variance,
            systems: VecDeque::new(),
            gapped: None,
            ahead: vec![],
            new_ahead: false,
            model,
        }
    }

    pub(super) fn fused(&self, set: usize) -> &Fused {
        self.views[set].fused(&self.model)
    }

    pub(super) fn sight(&self, set: usize) -> &Sight {
        self.views[set].sight(&self.model)
    }

    /// See [`sure`].
    pub(super) fn sure(&self, set: usize) -> &[f32] {
        let view = &self.views[set];
        view.sure.get_or_init(|| sure(view.pattern()))
    }

    /// The second moments seen through a pattern set, and themselves; `None` where the model has none.
    pub(super) fn linear(&self, set: usize) -> Option<(&Linear, &FrameMoments)> {
        let moments = self.model.moments.as_ref()?;
        let view = &self.views[set];
        let made = || view.lens.linear(&self.model, moments, view.pattern());
        Some((view.linear.get_or_init(made), moments))
    }

    /// The system of a measurement at the return that the prior knows: kept, and serving about its noise level; where readings are
    /// missing, what that is without them, or, where many are, one of this frame alone.
    pub(super) fn system(
        &mut self,
        measurement: &Measurement,
    ) -> Result<Arc<System>, MeasurementError> {
        let gain = measurement.gain;
        let (set, level) = (measurement.pattern_set, gain_level(gain * self.variance));
        let missing = &measurement.missing;
        let most = MOST_GAPS.min(measurement.y.len() / READINGS_OF_A_GAP);
        let system = if missing.len() > most {
            let (fused, gain) = (self.fused(set), rounded_gain(level));
            let system = fused.whitened(&self.model, &self.noise, gain, missing);
            system.map(Arc::new)
        } else {
            let kept = self.kept(set, level);
            kept.map(|whole| match missing.is_empty() {
                true => whole,
                false => self.without(whole, missing),
            })
        };
        system.ok_or(MeasurementError::Degenerate { gain })
    }

    /// A system without some readings: frames without signs ask for it more than once.
    fn without(&mut self, whole: Arc<System>, missing: &[u32]) -> Arc<System> {
        match &self.gapped {
            Some((of, known, system)) if Arc::ptr_eq(of, &whole) && *known == missing => {
                Arc::clone(system)
            }
            _ => {
                let system = Arc::new(whole.without(missing));
                self.gapped = Some((whole, missing.into(), Arc::clone(&system)));
                system
            }
        }
    }

    /// The system that serves a pattern set at a noise level, from now on the last one used; the longest unused makes room.
    fn kept(&mut self, set: usize, level: i32) -> Option<Arc<System>> {
        let serving = self.serving(set, level);
        let whitened = match serving.and_then(|at| self.systems.remove(at)) {
            Some((_, kept)) => kept,
            None => self.begin(set, self.nearest_level(level)),
        };
        let system = Arc::clone(whitened.system(&self.model)?);
        self.systems.push_back((set, whitened));
        Some(system)
    }

    /// The system of a pattern set that none serves yet. Where it comes unforeseen, those after it are about to.
    fn begin(&mut self, set: usize, level: i32) -> Arc<Whitened> {
        if self.systems.len() >= self.views.len() + SPARE_SYSTEMS {
            self.systems.pop_front();
        }
        let whitened = self.views[set].at(&self.noise, level);
        let foreseen = self.ahead.iter().position(|a| Arc::ptr_eq(a, &whitened));
        if let Some(at) = foreseen {
            self.ahead.swap_remove(at);
            return whitened;
        }
        let count = self.views.len();
        let next = (1..count.min(1 + MOST_AHEAD)).map(|step| (set + step) % count);
        let next = next.filter(|&next| self.serving(next, level).is_none());
        let next = next.map(|next| self.views[next].at(&self.noise, level));
        self.ahead = next.collect();
        self.new_ahead = !self.ahead.is_empty();
        whitened
    }

    /// What another thread may find ahead, where that is new.
    pub(super) fn ahead(&mut self) -> Option<Ahead> {
        std::mem::take(&mut self.new_ahead).then(|| {
            // every second one first: the track itself is about to find the first, and then waits for none that is half done
            let every_second = |from: usize| self.ahead.iter().skip(from).step_by(2);
            Ahead {
                model: Arc::clone(&self.model),
                wanted: every_second(1)
                    .chain(every_second(0))
                    .map(Arc::downgrade)
                    .collect(),
            }
        })
    }

    /// Where the system is that serves a pattern set at a noise level: of those near enough the nearest.
    fn serving(&self, set: usize, level: i32) -> Option<usize> {
        let systems = self.systems.iter().enumerate();
        let of_set = systems.filter(|(_, (own, _))| *own == set);
        let near = of_set.filter_map(|(at, (_, own))| Some((serves(own.level, level)?, at)));
        near.min().map(|(_, at)| at)
    }

    /// The level that a system is made at to serve a noise level: one that serves it of the systems of other pattern sets, so that
    /// sets are mostly seen at one level, or itself.
    fn nearest_level(&self, level: i32) -> i32 {
        let levels = self.systems.iter();
        let near = levels.filter_map(|(_, own)| serves(own.level, level));
        near.min().map_or(level, |(_, own)| own)
    }
}

impl Shared {
    /// The view that a sensor of a description has through one of its pattern sets: another sensor's, where there is one.
    fn get(&self, description: &Arc<SensorDescription>, set: usize, lens: Lens) -> Arc<View> {
        let mut views = lock(&self.0);
        views.retain(|view| view.strong_count() > 0);
        let pattern = &description.patterns[set];
        let mut known = views.iter().filter_map(Weak::upgrade);
        let same = known.find(|view| view.lens == lens && view.pattern() == pattern);
        same.unwrap_or_else(|| {
            let view = Arc::new(View {
                description: Arc::clone(description),
                set,
                lens,
                fused: OnceLock::new(),
                linear: OnceLock::new(),
                sight: OnceLock::new(),
                sure: OnceLock::new(),
                systems: Mutex::default(),
            });
            views.push(Arc::downgrade(&view));
            view
        })
    }
}

impl View {
    fn pattern(&self) -> &Pattern {
        &self.description.patterns[self.set]
    }

    fn sight(&self, model: &Model) -> &Sight {
        let moments = model.moments.as_ref();
        let made = || Sight::new(&model.rest, moments, self.pattern());
        self.sight.get_or_init(made)
    }

    fn fused(&self, model: &Model) -> &Fused {
        self.fused.get_or_init(|| Fused::new(model, self.pattern()))
    }

    /// The system at a noise level: another sensor's, where one keeps it.
    fn at(self: &Arc<Self>, noise: &Arc<[f32]>, level: i32) -> Arc<Whitened> {
        let mut systems = lock(&self.systems);
        systems.retain(|system| system.strong_count() > 0);
        let mut known = systems.iter().filter_map(Weak::upgrade);
        let same = known.find(|known| known.level == level && known.noise == *noise);
        same.unwrap_or_else(|| {
            let whitened = Arc::new(Whitened {
                view: Arc::clone(self),
                noise: Arc::clone(noise),
                level,
                system: OnceLock::new(),
            });
            systems.push(Arc::downgrade(&whitened));
            whitened
        })
    }
}

impl Whitened {
    fn system(&self, model: &Model) -> Option<&Arc<System>> {
        let made = || {
            let (fused, gain) = (self.view.fused(model), rounded_gain(self.level));
            fused.whitened(model, &self.noise, gain, &[]).map(Arc::new)
        };
        self.system.get_or_init(made).as_ref()
    }
}

impl Ahead {
    /// Finds all that somebody still waits for.
    pub fn prepare(&self) {
        for whitened in self.wanted.iter().filter_map(Weak::upgrade) {
            whitened.view.sight(&self.model);
            whitened.system(&self.model);
        }
    }
}

impl Lens {
    fn new(settings: &Settings, data: Data) -> Self {
        let principal = settings.method == Method::Principal;
        Self {
            directions: if principal {
                settings.directions
            } else {
                usize::MAX
            },
            correlated: principal && data == Data::Linear,
        }
    }

    fn linear(self, model: &Model, moments: &FrameMoments, pattern: &Pattern) -> Linear {
        if self.correlated {
            Linear::correlated(moments, self.directions, &model.rest, pattern)
        } else {
            Linear::new(moments, self.directions, pattern)
        }
    }
}

/// Whoever panicked while holding it left it whole: nothing is changed in it before it is made.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How far a system's level is from one that it serves, and itself.
fn serves(own: i32, level: i32) -> Option<(u32, i32)> {
    Some((own.abs_diff(level), own)).filter(|(away, _)| *away <= SERVES_STEPS)
}

/// The power of [`GAIN_STEP`] nearest to a gain.
fn gain_level(gain: f32) -> i32 {
    (gain.ln() / GAIN_STEP.ln()).round() as i32
}

fn rounded_gain(level: i32) -> f32 {
    GAIN_STEP.powi(level)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prior::Prior;
    use crate::recover::ErrorModel;
    use crate::sim;

    fn sensor(prior: &Prior, seed: u64) -> Arc<SensorDescription> {
        sensor_of(prior, 1, seed)
    }

    fn sensor_of(prior: &Prior, sets: usize, seed: u64) -> Arc<SensorDescription> {
        Arc::new(sim::describe((64, 64), &prior.knots, 30.0, (sets, 41), seed).unwrap())
    }

    fn at(gain: f32) -> Measurement {
        Measurement {
            gain,
            y: vec![0.0; 4 * 41],
            ..Measurement::default()
        }
    }

    #[test]
    fn frames_of_about_the_same_noise_share_a_system() {
        let prior = Prior::embedded().unwrap();
        let model = Arc::new(Model::new(&prior, ErrorModel::Directions));
        let mut views = Views::new(model, &sensor(&prior, 1), &Settings::default());
        let mut systems_at = |gain: f32| {
            views.system(&at(gain)).unwrap();
            views.systems.len()
        };
        let counts = [1.0, 1.6, 0.7, 4.0, 3.0, 1.0].map(&mut systems_at);
        assert_eq!(counts, [1, 1, 1, 2, 2, 2]);
    }

    #[test]
    fn sensors_of_the_same_patterns_share_what_is_made_of_them() {
        let prior = Prior::embedded().unwrap();
        let model = Arc::new(Model::new(&prior, ErrorModel::Directions));
        let of = |seed| {
            Views::new(
                Arc::clone(&model),
                &sensor(&prior, seed),
                &Settings::default(),
            )
        };
        let (mut one, mut same, mut other) = (of(1), of(1), of(2));
        assert!(std::ptr::eq(one.sight(0), same.sight(0)));
        assert!(!std::ptr::eq(one.sight(0), other.sight(0)));
        let mut systems =
            [&mut one, &mut same, &mut other].map(|views| views.system(&at(1.0)).unwrap());
        assert!(Arc::ptr_eq(&systems[0], &systems[1]));
        assert!(!Arc::ptr_eq(&systems[0], &systems[2]));
        systems[1] = same.system(&at(9.0)).unwrap();
        assert!(!Arc::ptr_eq(&systems[0], &systems[1]));
        assert!(one.ahead().is_none(), "there is no other set");
        let view = Arc::downgrade(&one.views[0]);
        drop(one);
        assert!(view.upgrade().is_some());
        drop((same, systems));
        assert!(view.upgrade().is_none(), "kept by nobody");
        drop(of(3));
        assert_eq!(lock(&model.views.0).len(), 2, "of 2 and 3");
    }

    #[test]
    fn the_next_pattern_sets_are_found_ahead_once() {
        let prior = Prior::embedded().unwrap();
        let model = Arc::new(Model::new(&prior, ErrorModel::Directions));
        let sensor = sensor_of(&prior, 4, 1);
        let mut views = Views::new(model, &sensor, &Settings::default());
        let shown = |set: usize, gain: f32| Measurement {
            pattern_set: set,
            ..at(gain)
        };
        views.system(&shown(1, 1.0)).unwrap();
        let ahead = views.ahead().unwrap();
        assert!(views.ahead().is_none(), "told once");
        let sets =
            |views: &Views| -> Vec<usize> { views.ahead.iter().map(|w| w.view.set).collect() };
        assert_eq!(sets(&views), [2, 3, 0]);
        ahead.prepare();
        assert!(
            views
                .ahead
                .iter()
                .all(|whitened| whitened.system.get().is_some())
        );
        let found = Arc::clone(views.ahead[1].system(&views.model).unwrap());
        let used = views.system(&shown(3, 1.5)).unwrap();
        assert!(
            Arc::ptr_eq(&found, &used),
            "what was found serves levels about it"
        );
        assert!(views.ahead().is_none(), "foreseen");
        views.system(&shown(0, 9.0)).unwrap();
        assert!(views.ahead().is_some(), "the light has changed");
        assert_eq!(sets(&views), [1, 2, 3]);
        assert_eq!(
            ahead.wanted.iter().filter_map(Weak::upgrade).count(),
            1,
            "set 3's, that was used"
        );
        ahead.prepare();
    }
}
