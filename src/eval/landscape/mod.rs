//! The loss of random instances: where its basins are, and who finds which.

mod case;
mod denoise;
mod shadow;
mod success;
mod theory;

pub use denoise::{Denoised, Denoising};
pub use shadow::{Line, Plane, Shadow};
pub use success::{Method, Success};
pub use theory::{line_loss, shadow_position, shadow_residual};

use super::EvalError;
use crate::recover::Data;
use case::Case;
use serde::Serialize;

/// Which instances, and how many.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Options {
    /// k, h₁, …, n: at least two layers
    pub widths: Vec<usize>,
    /// m/k of everything but the sweep
    pub ratio: f64,
    /// wide networks: their loss is drawn, and their second basin looked for at every depth from two on
    pub shadow_widths: Vec<usize>,
    /// m of these
    pub shadow_readings: usize,
    /// m/k of the sweep
    pub ratios: Vec<f64>,
    /// random networks, codes and patterns
    pub instances: usize,
    /// random codes that each search starts from
    pub starts: usize,
    /// points of the plane along each axis
    pub grid: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            widths: vec![10, 100, 200, 400],
            ratio: 10.0,
            shadow_widths: vec![5, 150, 300, 600, 1200],
            shadow_readings: 200,
            ratios: vec![1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0],
            instances: 10,
            starts: 8,
            grid: 51,
        }
    }
}

impl Options {
    /// How often progress is heard of.
    pub fn steps(&self) -> usize {
        let depths = self.shadow_widths.len().saturating_sub(2);
        depths + self.instances * (1 + self.ratios.len()) + denoise::HALVINGS
    }

    /// m at an m/k, at least 1.
    fn readings(&self, ratio: f64) -> usize {
        ((self.widths[0] as f64 * ratio).round() as usize).max(1)
    }
}

/// All that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Landscape {
    /// what was asked for
    pub options: Options,
    /// the second basin by depth
    pub shadows: Vec<Shadow>,
    /// the loss through both basins
    pub line: Line,
    /// the loss around them
    pub plane: Plane,
    /// who finds the first
    pub methods: Vec<Method>,
    /// with how many readings
    pub by_readings: Vec<Success>,
    /// what noise leaves
    pub denoising: Denoising,
}

/// Measures the landscape of random instances; the same numbers every time. `progress` hears of each step.
///
/// # Errors
/// Where the options make no instance.
pub fn landscape(options: &Options, progress: &mut dyn FnMut()) -> Result<Landscape, EvalError> {
    for widths in [&options.widths, &options.shadow_widths] {
        if widths.len() < 3 || widths.contains(&0) {
            return Err(EvalError::Widths {
                got: widths.clone(),
            });
        }
    }
    let case = Case::new(&options.shadow_widths, 0);
    let (instance, y) = case.seen(options.shadow_readings)?;
    let inverse = instance.inverse(Data::Linear, &y)?;
    Ok(Landscape {
        shadows: shadow::shadows(options, progress)?,
        line: shadow::line(&case, &inverse, options.shadow_widths.len() - 1),
        plane: shadow::plane(&case, &inverse, options.grid),
        methods: success::methods(options, progress)?,
        by_readings: success::by_readings(options, progress)?,
        denoising: denoise::denoising(options, progress)?,
        options: options.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measured_landscape_is_the_expected_one() {
        let options = Options {
            ratios: vec![1.0, 10.0],
            instances: 6,
            starts: 4,
            grid: 3,
            shadow_widths: vec![5, 150, 300, 600],
            ..Options::default()
        };
        let found = landscape(&options, &mut || ()).unwrap();
        assert_eq!(found.shadows.len(), 2);
        for shadow in &found.shadows {
            assert!((shadow.on_line - shadow.expected).abs() < 0.1, "{shadow:?}");
            let away = shadow.residual_on_line - shadow.expected_residual;
            assert!(away.abs() < 0.1, "{shadow:?}");
        }
        assert!(
            (found.denoising.slope - 1.0).abs() < 0.1,
            "{:?}",
            found.denoising
        );
        let first = &found.methods[0];
        assert!(first.negation && first.success > 0.9, "{first:?}");
        let few_and_many: Vec<f64> = found.by_readings.iter().map(|row| row.linear).collect();
        assert!(
            few_and_many[0] < 0.5 && few_and_many[1] > 0.99,
            "{few_and_many:?}"
        );
        assert!(found.by_readings[1].magnitudes > 0.7);
    }

    #[test]
    fn one_layer_has_no_second_basin_to_look_at() {
        let options = Options {
            widths: vec![4, 20],
            ..Options::default()
        };
        assert!(landscape(&options, &mut || ()).is_err());
    }
}
