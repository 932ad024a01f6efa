//! Levenberg–Marquardt with the exact Jacobian on the pair (u, c), c eliminated.
//!
//! Minimises ½‖M [φ(u); c] − ỹ‖² + ½ (v − v⁻)ᵀ Ω (v − v⁻) over v = (u, c). For any u the best c is linear in what u
//! leaves over, so iterations are over u alone, on the Schur complement of c (variable projection). The Jacobian is kept for
//! as long as it serves.

use super::belief::{Belief, Posterior};
use super::deadline::Deadline;
use super::fuse::{Readings, System, add_columns, column, symmetric_product};
use super::grid::{Factor, Grid};
use super::model::Model;
use crate::pool::Buffer;
use crate::prior::Activations;
use crate::simd::{add_scaled_f64, dot};
use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par, Side};
use serde::{Deserialize, Serialize};

/// When to stop.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// most linear systems solved for one start
    pub iterations: usize,
    /// stop when a step lowers the cost, or promises to, by less than this share of it
    pub tolerance: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            iterations: 30,
            tolerance: 4e-3,
        }
    }
}

/// Why the iteration ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// no step promises a decrease worth having
    Converged,
    /// the limit of iterations was reached
    Iterations,
    /// no damping gave a decrease
    Stalled,
    /// the frame's deadline neared: see [`Settings::deadline_ms`](super::Settings::deadline_ms)
    Deadline,
}

/// First damping, relative to the diagonal of the normal equations.
const FIRST_DAMPING: f64 = 1e-3;
/// Damping beyond which no step moves anything.
const MOST_DAMPING: f64 = 1e10;

/// Share of the promised decrease below which a step was too long: it is damped more, and says nothing of what is left to gain.
const LITTLE: f64 = 0.25;
/// Share of the promised decrease from which on a step's normal equations serve another one: a chord step, which needs the
/// gradient alone.
const SERVES: f64 = 0.9;

/// Step over code that f32 no longer resolves.
const LEAST_STEP: f64 = 1e-7;

/// One frame's problem.
pub(super) struct Problem<'a> {
    model: &'a Model,
    system: &'a System,
    readings: &'a Readings,
    belief: &'a Belief,
    /// M_EᵀM_E + Ω_cc
    error_normal: Factor<f64>,
    /// Ω_cc c⁻, (q)
    error_pull: Buffer<f64>,
    deadline: Option<&'a Deadline<'a>>,
}

/// Where an iteration stands.
#[derive(Clone, Debug)]
pub(super) struct Point {
    pub(super) u: Buffer<f32>,
    /// best c for this u
    c: Buffer<f64>,
    /// M_E c + M_φ φ(u) − ỹ
    residual: Buffer<f32>,
    /// Ω (v − v⁻), (k + q)
    pull: Buffer<f64>,
    pub(super) cost: f64,
}

impl Point {
    /// v = (u, c), (k + q)
    pub(super) fn state(&self) -> Buffer<f64> {
        let code = self.u.iter().map(|&u| f64::from(u));
        code.chain(self.c.iter().copied()).collect()
    }
}

/// H = [[H_uu, H_uc], [H_cu, H_cc]] of the undamped normal equations and the gradient in u.
struct Normal {
    /// H_uu, (k × k)
    code: Grid<f64>,
    /// H_cu, (q × k)
    cross: Grid<f64>,
    /// H_uu − H_uc H_cc⁻¹ H_cu: of u alone, c eliminated, (k × k)
    reduced: Grid<f64>,
    gradient: Buffer<f64>,
}

/// What one start came to.
#[derive(Clone, Debug)]
pub(super) struct Solution {
    pub(super) posterior: Option<Posterior>,
    /// v = (u, c)
    pub(super) state: Buffer<f64>,
    pub(super) cost: f64,
    /// expected decrease at the start had the problem been linear: gives the innovation's χ²
    pub(super) innovation: f64,
    pub(super) iterations: usize,
    pub(super) stop: StopReason,
}

impl<'a> Problem<'a> {
    /// `None` where belief and data leave c undetermined.
    pub(super) fn new(
        model: &'a Model,
        system: &'a System,
        readings: &'a Readings,
        belief: &'a Belief,
    ) -> Option<Self> {
        let (k, q) = (model.code_len(), model.error_len());
        let own = belief.precision.as_ref().submatrix(k, k, q, q);
        let mut normal = system.gram.clone();
        add(own, normal.as_mut());
        Some(Self {
            error_pull: product(own, &belief.mean[k..]),
            model,
            system,
            readings,
            belief,
            error_normal: normal.cholesky()?,
            deadline: None,
        })
    }

    /// The same, to be done by a deadline.
    pub(super) fn by(self, deadline: &'a Deadline<'a>) -> Self {
        Self {
            deadline: Some(deadline),
            ..self
        }
    }

    /// Cost of starting at `u`, (k).
    pub(super) fn cost_at(&self, u: &[f32]) -> f64 {
        self.evaluate(u.into(), &mut Activations::default()).cost
    }

    /// Descends from `u`, (k).
    pub(super) fn descend(&self, u: &[f32], limits: Limits) -> Solution {
        let at = &mut Activations::default();
        let mut point = self.evaluate(u.into(), at);
        let (mut normal, mut fresh) = (self.linearise(&point, at), true);
        let mut damping = FIRST_DAMPING;
        let (mut iterations, mut stop) = (0, StopReason::Iterations);
        let undamped = self.step(&normal, 0.0);
        let innovation = point.cost - undamped.as_ref().map_or(0.0, |(_, decrease)| *decrease);
        while iterations < limits.iterations {
            if self.deadline.is_some_and(Deadline::nears) {
                stop = StopReason::Deadline;
                if let (0, Some((step, _))) = (iterations, &undamped) {
                    let next = self.evaluate(moved(&point.u, step), at); // it is there
                    if next.cost < point.cost {
                        (point, iterations) = (next, 1);
                    }
                }
                break;
            }
            iterations += 1;
            let Some((step, promised)) = self.step(&normal, damping) else {
                damping *= 10.0;
                continue;
            };
            let worth = limits.tolerance * (point.cost + 0.5 * self.readings.outside);
            let mut small = promised <= worth;
            let next = self.evaluate(moved(&point.u, &step), at);
            if next.cost < point.cost {
                let gained = (point.cost - next.cost) / promised;
                damping *= if gained > 0.75 {
                    0.1
                } else if gained < LITTLE {
                    4.0
                } else {
                    1.0
                };
                small |= gained > LITTLE && point.cost - next.cost <= worth;
                point = next;
                if small {
                    stop = StopReason::Converged;
                    break;
                }
                if gained > SERVES {
                    normal.gradient = self.gradient(&point, at);
                    fresh = false;
                } else {
                    normal = self.linearise(&point, at);
                    fresh = true;
                }
            } else if small || negligible(&step, &point.u) {
                stop = StopReason::Converged;
                break;
            } else if !fresh {
                self.model.evaluate(&point.u, at);
                normal = self.linearise(&point, at);
                fresh = true;
            } else if damping > MOST_DAMPING {
                stop = StopReason::Stalled;
                break;
            } else {
                damping = (damping * 10.0).max(1e-6);
            }
        }
        let state = point.state();
        let posterior = Posterior {
            mean: state.clone(),
            precision: self.full(&normal),
        };
        Solution {
            posterior: Some(posterior),
            state,
            cost: point.cost,
            innovation,
            iterations,
            stop,
        }
    }

    /// The residual and cost at u, with the best c.
    pub(super) fn evaluate(&self, u: Buffer<f32>, at: &mut Activations) -> Point {
        let (k, q) = (self.model.code_len(), self.model.error_len());
        self.model.evaluate(&u, at);
        let mut residual: Buffer<f32> = self.readings.y.iter().map(|y| -y).collect();
        add_columns(
            self.system.head(),
            at.features().iter().copied(),
            &mut residual,
        );
        self.readings.take_signs(&mut residual);
        let (mean, precision) = (&self.belief.mean, self.belief.precision.as_ref());
        let mut away = Buffer::with_capacity(k + q);
        away.extend(u.iter().zip(mean.iter()).map(|(&u, m)| f64::from(u) - m));
        let error = self.system.error();
        let code = product(precision.submatrix(k, 0, q, k), &away);
        let right = (0..q).map(|i| {
            let data = f64::from(dot(column(error, i), &residual[..error.nrows()]));
            self.error_pull[i] - code[i] - data
        });
        let mut c: Buffer<f64> = right.collect();
        self.error_normal
            .solve(MatMut::from_column_major_slice_mut(&mut c, q, 1));
        let shown = &mut residual[..error.nrows()];
        add_columns(error, c.iter().map(|&c| c as f32), shown);
        away.extend(c.iter().zip(&mean[k..]).map(|(c, m)| c - m));
        let pull = product(precision, &away);
        let belief: f64 = pull.iter().zip(away.iter()).map(|(g, d)| g * d).sum();
        let data: f64 = residual.iter().map(|&r| f64::from(r).powi(2)).sum();
        Point {
            u,
            c,
            residual,
            pull,
            cost: 0.5 * (data + belief),
        }
    }

    /// ∂cost/∂u, (k), at a point whose activations are current, without the Jacobian. That c follows u adds nothing: at the
    /// best c the cost does not change with it.
    pub(super) fn gradient(&self, point: &Point, at: &Activations) -> Buffer<f64> {
        let (head, hidden) = (self.system.head(), self.model.decoder.hidden_len());
        let features = at.features().iter().enumerate();
        let back: Buffer<f32> = features
            .map(|(index, &feature)| match index < hidden && feature <= 0.0 {
                true => 0.0, // a ReLU that is off passes nothing back
                false => dot(column(head, index), &point.residual),
            })
            .collect();
        let mut gradient: Buffer<f64> = point.pull[..self.model.code_len()].into();
        let data = self.model.decoder.pull_back(at, &back);
        let values = gradient.iter_mut().zip(data.iter());
        values.for_each(|(g, d)| *g += f64::from(*d));
        gradient
    }

    /// The largest curvature of the linearised cost at a point whose activations are current.
    pub(super) fn curvature(&self, point: &Point, at: &mut Activations) -> Option<f64> {
        let normal = self.linearise(point, at);
        let reduced = normal.reduced.as_ref();
        let eigenvalues = reduced.self_adjoint_eigenvalues(Side::Lower).ok()?;
        eigenvalues.last().copied()
    }

    /// The normal equations at a point whose activations are current.
    fn linearise(&self, point: &Point, at: &mut Activations) -> Normal {
        let (k, q) = (self.model.code_len(), self.model.error_len());
        let jacobian = self.jacobian(at);
        let belief = self.belief.precision.as_ref();
        let mut code = symmetric_product(jacobian.as_ref());
        add(belief.submatrix(0, 0, k, k), code.as_mut());
        let error = self.system.error();
        let shown = jacobian.as_ref().subrows(0, error.nrows());
        let cross = Grid::product(error.transpose(), shown);
        let mut cross = Grid::of(cross.as_ref(), f64::from);
        add(belief.submatrix(k, 0, q, k), cross.as_mut());
        let mut reduced = code.clone();
        if q > 0 {
            let mut explained = cross.clone(); // L⁻¹ H_cu, of H_cc = L Lᵀ
            self.error_normal.solve_lower(explained.as_mut());
            let explained = Grid::square(explained.as_ref());
            let values = reduced.values_mut().iter_mut().zip(explained.values());
            values.for_each(|(reduced, explained)| *reduced -= explained);
        }
        let mut gradient: Buffer<f64> = point.pull[..k].into();
        for (c, g) in gradient.iter_mut().enumerate() {
            *g += f64::from(dot(jacobian.column(c), &point.residual));
        }
        Normal {
            code,
            cross,
            reduced,
            gradient,
        }
    }

    /// F = ∂(M_φ φ)/∂u, (rows × k): only active columns of the head are read.
    fn jacobian(&self, at: &mut Activations) -> Grid<f32> {
        let (k, hidden) = (self.model.code_len(), self.model.decoder.hidden_len());
        let head = self.system.head();
        let jacobian = self.model.decoder.jacobian(at);
        let rows = head.nrows();
        let mut gathered = Buffer::with_capacity(rows * hidden); // were all active
        jacobian
            .active
            .iter()
            .for_each(|&unit| gathered.extend_from_slice(column(head, unit)));
        let gathered = MatRef::from_column_major_slice(&gathered, rows, jacobian.active.len());
        let mut out = if head.ncols() > hidden {
            Grid::of(head.subcols(hidden, k), |v| v)
        } else {
            Grid::zeros(rows, k)
        };
        matmul(
            out.as_mut(),
            Accum::Add,
            gathered,
            jacobian.rows,
            1.0,
            Par::Seq,
        );
        out
    }

    /// The damped step in u and the decrease that the linearised problem promises for it.
    fn step(&self, normal: &Normal, damping: f64) -> Option<(Buffer<f64>, f64)> {
        let k = self.model.code_len();
        let mut damped = normal.reduced.clone();
        (0..k).for_each(|i| damped[(i, i)] += damping * damped[(i, i)].abs().max(1e-12));
        let mut step: Buffer<f64> = normal.gradient.iter().map(|g| -g).collect();
        let column = MatMut::from_column_major_slice_mut(&mut step, k, 1);
        damped.cholesky()?.solve(column);
        let bent = product(normal.reduced.as_ref(), &step);
        let terms = step.iter().zip(bent.iter()).zip(normal.gradient.iter());
        let promised = terms.map(|((s, bent), g)| -s * (g + 0.5 * bent)).sum();
        Some((step, promised))
    }

    /// The whole undamped normal matrix, (k + q × k + q).
    fn full(&self, normal: &Normal) -> Grid<f64> {
        let (k, q) = (self.model.code_len(), self.model.error_len());
        let mut full = self.belief.precision.clone();
        let mut block = |at: (usize, usize), part: MatRef<'_, f64>| {
            let (rows, cols) = part.shape();
            full.as_mut()
                .submatrix_mut(at.0, at.1, rows, cols)
                .copy_from(part);
        };
        block((0, 0), normal.code.as_ref());
        block((0, k), normal.cross.as_ref().transpose());
        block((k, 0), normal.cross.as_ref());
        let error = full.as_mut().submatrix_mut(k, k, q, q);
        add(self.system.gram.as_ref(), error);
        full
    }
}

/// out += M.
fn add(matrix: MatRef<'_, f64>, mut out: MatMut<'_, f64>) {
    out += matrix;
}

/// M v, of a matrix whose columns are contiguous.
fn product(matrix: MatRef<'_, f64>, v: &[f64]) -> Buffer<f64> {
    let mut out = Buffer::zeros(matrix.nrows());
    for (column, &weight) in matrix.col_iter().zip(v) {
        if let Some(column) = column.try_as_col_major() {
            add_scaled_f64(weight, column.as_slice(), &mut out);
        }
    }
    out
}

/// Where a step leads from a code.
pub(super) fn moved(u: &[f32], step: &[f64]) -> Buffer<f32> {
    u.iter().zip(step).map(|(u, d)| u + *d as f32).collect()
}

/// Whether f32 no longer tells a code from the one that a step leads to.
pub(super) fn negligible(step: &[f64], u: &[f32]) -> bool {
    let moved: f64 = step.iter().map(|d| d * d).sum();
    let size: f64 = u.iter().map(|&u| f64::from(u).powi(2)).sum();
    moved <= LEAST_STEP * LEAST_STEP * size
}

#[cfg(test)]
mod tests {
    use super::super::fuse::Fused;
    use super::super::model::ErrorModel;
    use super::*;
    use crate::prior::Prior;
    use crate::sensing::Hadamard;

    #[test]
    fn the_gradient_is_that_of_the_normal_equations() {
        let prior = Prior::embedded().unwrap();
        let model = Model::new(&prior, ErrorModel::Directions);
        let operator = Hadamard::random(prior.pixels(), 60, 1).unwrap();
        let channels = prior.channels();
        let noise: Vec<f32> = (0..channels * channels)
            .map(|i| if i % (channels + 1) == 0 { 0.01 } else { 0.0 })
            .collect();
        let fused = Fused::new(&model, &operator);
        let system = fused.whitened(&model, &noise, 1.0, &[]).unwrap();
        let y: Vec<f32> = (0..channels * 60).map(|i| (i as f32).sin()).collect();
        let readings = system.project(&y);
        let belief = Belief::prior(model.code_len(), model.state_len(), 2.0);
        let problem = Problem::new(&model, &system, &readings, &belief).unwrap();
        let mut at = Activations::default();
        let u = (0..model.code_len()).map(|i| (i as f32).cos()).collect();
        let point = problem.evaluate(u, &mut at);
        let gradient = problem.gradient(&point, &at);
        let expected = problem.linearise(&point, &mut at).gradient;
        let norm = expected.iter().map(|g| g * g).sum::<f64>().sqrt();
        for (got, expected) in gradient.iter().zip(&expected) {
            assert!(
                (got - expected).abs() < 1e-4 * norm,
                "{got}, not {expected}"
            );
        }
    }
}
