//! Where a track's next frame would end, for who judges starts and ends.

use super::{Tracker, without};
use crate::clock::Clock;
use crate::frame::Measurement;
use crate::recover::error::{MeasurementError, check};
use crate::recover::solve::{Limits, Problem};

impl<C: Clock> Tracker<C> {
    /// The cost that the next frame would end at, were it solved from `code`, (k), or, without one, from the prediction as it
    /// will be, until `limits`; `None` where there is no frame before. Changes nothing: it is for judging starts and ends.
    ///
    /// # Errors
    /// As [`Tracker::recover`].
    pub fn warm_cost(
        &mut self,
        measurement: &Measurement,
        code: Option<&[f32]>,
        limits: Limits,
    ) -> Result<Option<f64>, MeasurementError> {
        check(&self.description, measurement)?;
        let signed = self.signed(measurement)?;
        let measurement = signed.as_ref().map_or(measurement, |(signed, _)| signed);
        let (brightness, measurement) = &self.scaled(measurement)?;
        let system = self.views.system(measurement)?;
        let scale = self.model.scale(*brightness);
        let Some((rest, belief)) = self
            .carried(measurement, scale)
            .zip(self.predict(measurement))
        else {
            return Ok(None);
        };
        let pattern = &self.description.patterns[measurement.pattern_set];
        let readings = system.project(&without(pattern, &rest, &measurement.y));
        let problem = Problem::new(&self.model, &system, &readings, &belief);
        let start = match code {
            Some(code) => code.into(),
            None => belief.start(self.model.code_len()),
        };
        Ok(problem.map(|p| p.descend(&start, limits).with_outside(&readings).cost))
    }
}
