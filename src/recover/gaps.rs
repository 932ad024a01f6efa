//! Readings that are missing from a frame.
//!
//! What is missing may have been anything: readings say as much without it as they do beside the best values for it. Of whitened
//! readings ỹ those change what lies along B, an orthonormal basis of L⁻¹ I_missing, so that ‖(I − B Bᵀ)(ỹ − M v)‖² is left, and
//! nothing is whitened anew. Along the directions Q that a system keeps, M v = Q Qᵀ M v, and with U = QᵀB this is the square of
//!
//! T QᵀM v − T⁻ᵀ Qᵀ(I − B Bᵀ) ỹ, T = I − U (I + C)⁻¹ Uᵀ, CᵀC = I − UᵀU,
//!
//! and a constant: TᵀT = I − U Uᵀ (the square root of Andrews 1968, "A square root formulation of the Kalman covariance
//! equations", for several readings at once). Directions that only missing readings show make C singular: it is factored with
//! pivots, largest first, and ends where they do.

use super::columns::Images;
use super::fuse::{add_columns, column};
use super::grid::{Grid, pivoted, take_out};
use super::whiten::{Span, Whitener};
use crate::pool::Buffer;
use crate::simd::dot;
use faer::linalg::matmul::matmul;
use faer::linalg::triangular_solve::{
    solve_lower_triangular_in_place, solve_upper_triangular_in_place,
};
use faer::prelude::ReborrowMut;
use faer::{Accum, Mat, MatMut, MatRef, Par};

/// Share of a direction's length, squared, that must be left for readings to say anything there: a basis is orthonormal to about half
/// of it.
const NOTHING: f64 = 2e-5;

/// The readings that are missing from a frame.
#[derive(Clone, Debug)]
pub(super) struct Gaps {
    /// positions in y
    missing: Vec<u32>,
    /// B
    along: Vec<Span>,
    /// U, (rows × missing)
    seen: Mat<f32>,
    /// C, (any × missing)
    root: Mat<f32>,
    /// I + C, (missing × missing)
    divisor: Mat<f32>,
}

impl Gaps {
    /// Of positions in y, strictly increasing, behind a whitener of `readings`, and a basis Q of them where not all count.
    pub(super) fn new(
        whitener: &Whitener,
        basis: Option<&Images<i16>>,
        readings: usize,
        missing: &[u32],
    ) -> Self {
        let along = whitener.span(missing);
        let count = along.iter().map(|span| span.basis.len()).sum();
        let mut seen: Mat<f32> = Mat::zeros(basis.map_or(readings, Images::count), count);
        let mut columns = seen.as_mut();
        for span in &along {
            let (mut own, others) = columns.split_at_col_mut(span.basis.len());
            columns = others;
            if let Some(basis) = basis {
                let products = basis.products_within(span.rows(), &span.basis);
                own.copy_from(products.transpose());
                continue;
            }
            for (mut to, unit) in own.rb_mut().col_iter_mut().zip(&span.basis) {
                let values = to.rb_mut().iter_mut().skip(span.start).zip(unit);
                values.for_each(|(to, v)| *to = *v);
            }
        }
        let hidden = Grid::square(seen.as_ref());
        let shown = Grid::from_fn(count, count, |r, c| {
            f32::from(u8::from(r == c)) - hidden[(r, c)]
        });
        let (pivots, columns) = pivoted(&shown, |left| left.iter().all(|l| *l < NOTHING));
        let mut order = pivots.clone();
        order.extend((0..count).filter(|i| !pivots.contains(i)));
        let root = Mat::from_fn(columns.len(), count, |r, c| match r <= c {
            true => columns[r][order[c]],
            false => 0.0,
        });
        let divisor = Mat::from_fn(count, count, |r, c| {
            let own = f32::from(u8::from(r == c));
            own + if r < root.nrows() { root[(r, c)] } else { 0.0 }
        });
        Self {
            missing: missing.into(),
            along,
            seen: Mat::from_fn(seen.nrows(), count, |r, c| seen[(r, order[c])]),
            root,
            divisor,
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.missing.len()
    }

    /// Readings, (J·m), with 0 for those that are missing, which may be anything.
    pub(super) fn cleared(&self, y: &[f32]) -> Buffer<f32> {
        let mut cleared = Buffer::from(y);
        self.missing
            .iter()
            .for_each(|&at| cleared[at as usize] = 0.0);
        cleared
    }

    /// ỹ ← (I − B Bᵀ) ỹ.
    pub(super) fn take_out(&self, whitened: &mut [f32]) {
        for span in &self.along {
            let whitened = &mut whitened[span.rows()];
            span.basis.iter().for_each(|unit| take_out(unit, whitened));
        }
    }

    /// Makes diag S₀⁻¹ of all readings, (J·m), that of those which are there; 0 where they are missing.
    pub(super) fn lower(&self, whitener: &Whitener, precision: &mut [f32]) {
        let (mut direction, mut seen) = (vec![0.0; precision.len()], vec![0.0; precision.len()]);
        for span in &self.along {
            for unit in &span.basis {
                direction[span.rows()].copy_from_slice(unit);
                whitener.apply_transposed(&direction, &mut seen);
                let pairs = precision.iter_mut().zip(&seen);
                pairs.for_each(|(p, v)| *p -= v * v); // S₀⁻¹ − L⁻ᵀ B Bᵀ L⁻¹
            }
            direction[span.rows()].fill(0.0);
        }
        precision
            .iter_mut()
            .for_each(|p| *p = p.max(f32::MIN_POSITIVE)); // but for rounding it is
        self.missing
            .iter()
            .for_each(|&at| precision[at as usize] = 0.0);
    }

    /// T M.
    pub(super) fn turned(&self, matrix: MatRef<'_, f32>) -> Mat<f32> {
        let mut shares = matrix.transpose() * &self.seen;
        solve_upper_triangular_in_place(
            self.divisor.as_ref(),
            shares.as_mut().transpose_mut(),
            Par::Seq,
        );
        let mut turned = matrix.to_owned();
        matmul(
            turned.as_mut(),
            Accum::Add,
            self.seen.as_ref(),
            shares.transpose(),
            -1.0,
            Par::Seq,
        );
        turned
    }

    /// v ← T⁻ᵀ v, of what [`Gaps::take_out`] leaves of readings.
    pub(super) fn turn(&self, v: &mut [f32]) {
        let seen = self.seen.as_ref();
        let along = (0..seen.ncols()).map(|c| dot(column(seen, c), v));
        let mut shares: Buffer<f32> = along.collect();
        let rank = self.root.nrows();
        shares[rank..].fill(0.0);
        let root = self.root.as_ref().subcols(0, rank);
        let shown = MatMut::from_column_major_slice_mut(&mut shares[..rank], rank, 1);
        solve_lower_triangular_in_place(root.transpose(), shown, Par::Seq);
        let all = MatMut::from_column_major_slice_mut(&mut shares, seen.ncols(), 1);
        solve_upper_triangular_in_place(self.divisor.as_ref(), all, Par::Seq);
        add_columns(seen, shares.iter().copied(), v);
    }
}

#[cfg(test)]
mod tests {
    use crate::frame::RangeImage;
    use crate::prior::{Activations, Prior};
    use crate::recover::ErrorModel;
    use crate::recover::belief::Belief;
    use crate::recover::fuse::{Fused, System};
    use crate::recover::model::Model;
    use crate::recover::solve::Problem;
    use crate::sim::{self, Sampling};
    use rand_chacha::{ChaCha8Rng, rand_core::SeedableRng};

    /// What readings say of a code with the c that goes with it.
    #[derive(Debug)]
    struct Said {
        count: usize,
        cost: f64,
        contrast: f64,
        curvature: f64,
        dual: Vec<f32>,
        precision: Vec<f32>,
    }

    fn said(system: &System, model: &Model, y: &[f32], u: &[f32]) -> Said {
        let readings = system.project(y);
        let belief = Belief::prior(u.len(), model.state_len(), 1.0);
        let problem = Problem::new(model, system, &readings, &belief).unwrap();
        let at = &mut Activations::default();
        let point = problem.evaluate(u.into(), at);
        let state = point.state();
        let left = system.left(&readings.whitened, at.features(), &state[u.len()..]);
        Said {
            curvature: problem.curvature(&point, at).unwrap(),
            precision: system.precision(),
            count: readings.count,
            cost: point.cost + 0.5 * readings.outside,
            contrast: system.contrast(&readings.whitened).unwrap(),
            dual: system.dual(&left).to_vec(),
        }
    }

    #[test]
    fn what_is_missing_is_as_though_it_had_never_been_read() {
        let prior = Prior::embedded().unwrap();
        let model = Model::new(&prior, ErrorModel::Directions);
        let u: Vec<f32> = (0..model.code_len()).map(|i| (i as f32).sin()).collect();
        let mut truth = RangeImage::default();
        sim::frame(sim::Split::Tune, 3, &sim::rays(64, 64), &mut truth);
        for (sampling, readings, coupled) in [
            (Sampling::Scrambled, 24, 0.0), // so few that every direction counts
            (Sampling::Scrambled, 24, 0.3),
            (Sampling::VariableDensity, 60, 0.0),
            (Sampling::VariableDensity, 205, 0.0),
        ] {
            let (knots, shown) = (&prior.knots, (1, readings));
            let sensor = sim::describe_sampled(sampling, (64, 64), knots, 30.0, shown, 5).unwrap();
            let mut random = ChaCha8Rng::seed_from_u64(1);
            let measurement = sim::measure(&sensor, 0, &truth, 0.005, &mut random);
            let fused = Fused::new(&model, &sensor.patterns[0]);
            let channels = sensor.channels();
            let between = (0..channels * channels).map(|i| match i % (channels + 1) {
                0 => sensor.noise[i],
                _ => coupled * sensor.noise[0],
            });
            let noise: Vec<f32> = between.collect();
            let whitened = |missing: &[u32]| {
                let gain = measurement.gain;
                fused.whitened(&model, &noise, gain, missing).unwrap()
            };
            let whole = whitened(&[]);
            let all = measurement.y.len() as u32;
            // one flat reading, few, and every flat one among many
            let cases = [(0, all), (3, 9), (0, readings as u32), (0, 5)];
            for missing in cases.map(|(first, step)| (first..all).step_by(step as usize)) {
                let missing: Vec<u32> = missing.collect();
                let mut y = measurement.y.clone();
                missing.iter().for_each(|&at| y[at as usize] = f32::NAN);
                let anew = said(&whitened(&missing), &model, &y, &u);
                let told = said(&whole.without(&missing), &model, &y, &u);
                let near = |a: f64, b: f64| (a - b).abs() < 1e-3 * b;
                assert_eq!(told.count, anew.count);
                assert!(
                    near(told.cost, anew.cost)
                        && near(told.contrast, anew.contrast)
                        && (told.curvature / anew.curvature - 1.0).abs() < 5e-3,
                    "{readings} but {}: {} {}, {} {}, {} {}",
                    missing.len(),
                    told.cost,
                    anew.cost,
                    told.contrast,
                    anew.contrast,
                    told.curvature,
                    anew.curvature
                );
                let energy = |v: &[f32]| v.iter().map(|v| v * v).sum::<f32>();
                let apart = |a: &[f32], b: &[f32]| {
                    let apart: Vec<f32> = a.iter().zip(b).map(|(a, b)| a - b).collect();
                    energy(&apart) / energy(b)
                };
                assert!(apart(&told.precision, &anew.precision) < 1e-6);
                // beyond the directions that a system keeps, each leaves what its own leave
                let bound = if readings == 24 { 1e-6 } else { 0.01 };
                assert!(apart(&told.dual, &anew.dual) < bound, "{readings}");
                let nothing = |v: &[f32]| missing.iter().all(|&at| v[at as usize] == 0.0);
                assert!(nothing(&told.dual) && nothing(&told.precision));
            }
        }
    }
}
