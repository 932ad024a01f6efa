//! Adam (Kingma & Ba 2015), one pass over memory per step.

use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Tensor, Var, bail};
use std::sync::{Mutex, PoisonError};

const BETA1: f32 = 0.9;
const BETA2: f32 = 0.99;
const EPSILON: f32 = 1e-8;

/// One parameter and its moments.
pub(super) struct Parameter {
    /// name in checkpoints
    pub(super) name: &'static str,
    /// the weights
    pub(super) var: Var,
    moments: Mutex<Moments>,
}

#[derive(Clone, Default)]
struct Moments {
    first: Vec<f32>,
    second: Vec<f32>,
}

impl Parameter {
    pub(super) fn new(name: &'static str, value: &Tensor) -> Result<Self> {
        let len = value.elem_count();
        let moments = Moments {
            first: vec![0.0; len],
            second: vec![0.0; len],
        };
        Ok(Self {
            name,
            var: Var::from_tensor(value)?,
            moments: Mutex::new(moments),
        })
    }

    /// The moments, for a checkpoint.
    pub(super) fn moments(&self) -> (Vec<f32>, Vec<f32>) {
        let moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        (moments.first.clone(), moments.second.clone())
    }

    /// Puts back what a checkpoint held.
    pub(super) fn restore(&self, value: &Tensor, first: Vec<f32>, second: Vec<f32>) -> Result<()> {
        if first.len() != value.elem_count() || second.len() != value.elem_count() {
            bail!(
                "expected {} moments of {}, found {} and {}",
                value.elem_count(),
                self.name,
                first.len(),
                second.len()
            );
        }
        *self.moments.lock().unwrap_or_else(PoisonError::into_inner) = Moments { first, second };
        self.var.set(value)
    }

    /// One step against `gradient`; `step` counts from 1.
    pub(super) fn descend(&self, gradient: &Tensor, rate: f32, step: usize) -> Result<()> {
        let descent = Descent {
            moments: &self.moments,
            rate: corrected(rate, step),
        };
        self.var
            .as_tensor()
            .inplace_op2(&gradient.contiguous()?, &descent)
    }
}

struct Descent<'a> {
    moments: &'a Mutex<Moments>,
    rate: f32,
}

impl InplaceOp2 for Descent<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(
        &self,
        weights: &mut CpuStorage,
        at: &Layout,
        gradient: &CpuStorage,
        from: &Layout,
    ) -> Result<()> {
        let (CpuStorage::F32(weights), CpuStorage::F32(gradient)) = (weights, gradient) else {
            bail!("adam expects f32 weights and gradients");
        };
        let (Some((start, end)), Some((first, last))) =
            (at.contiguous_offsets(), from.contiguous_offsets())
        else {
            bail!("adam expects contiguous weights and gradients");
        };
        let mut moments = self.moments.lock().unwrap_or_else(PoisonError::into_inner);
        let Moments {
            first: m,
            second: v,
        } = &mut *moments;
        descend(
            &mut weights[start..end],
            &gradient[first..last],
            m,
            v,
            self.rate,
        );
        Ok(())
    }
}

/// The rate of step `step`, which counts from 1, for moments that start at 0.
pub(super) fn corrected(rate: f32, step: usize) -> f32 {
    let step = i32::try_from(step).unwrap_or(i32::MAX);
    rate * (1.0 - BETA2.powi(step)).sqrt() / (1.0 - BETA1.powi(step))
}

/// The update of all weights, spread over the cores: it is bound by memory, not by arithmetic.
pub(super) fn descend(
    weights: &mut [f32],
    gradient: &[f32],
    m: &mut [f32],
    v: &mut [f32],
    rate: f32,
) {
    let share = weights.len().div_ceil(super::threads()).max(1 << 14);
    std::thread::scope(|scope| {
        let parts = weights
            .chunks_mut(share)
            .zip(gradient.chunks(share))
            .zip(m.chunks_mut(share).zip(v.chunks_mut(share)));
        for ((weights, gradient), (m, v)) in parts {
            scope.spawn(move || {
                for (((w, &g), m), v) in weights.iter_mut().zip(gradient).zip(m).zip(v) {
                    *m = BETA1 * *m + (1.0 - BETA1) * g;
                    *v = BETA2 * *v + (1.0 - BETA2) * g * g;
                    *w -= rate * *m / (v.sqrt() + EPSILON);
                }
            });
        }
    });
}
