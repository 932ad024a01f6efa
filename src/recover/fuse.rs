//! The head seen through a pattern set: computed once, so that no iteration touches a pixel.

use super::columns::{Columns, Images};
use super::compress::directions;
use super::gaps::Gaps;
use super::grid::{Grid, energy, orthonormal, take_out};
use super::model::Model;
use super::rest::Spread;
use super::whiten::Whitener;
use crate::pool::Buffer;
use crate::sensing::Operator;
use faer::{Mat, MatRef};
use std::sync::Arc;

/// A·\[W_d, E Λ^½\] and what else patterns make of a model, before any noise level.
#[derive(Clone, Debug)]
pub(super) struct Fused {
    /// H + q columns of J·m readings
    columns: Columns,
    /// A(b + ē), (J·m)
    offset: Vec<f32>,
    /// readings of an image of ones, (m)
    flat: Vec<f32>,
    /// covariance that the rest puts on the readings
    pub(super) spread: Spread,
    /// share of the rest's variance that the readings see, where rows are orthonormal
    pub(super) seen: f32,
}

impl Fused {
    pub(super) fn new(model: &Model, operator: &dyn Operator) -> Self {
        let mut patterns = Patterns::new(operator);
        let spread = model.rest.spread(operator);
        Self {
            seen: (spread.variances().iter().sum::<f32>()
                / model.rest.variance.iter().sum::<f32>())
            .min(1.0),
            columns: patterns.columns([&model.head, &model.error]),
            offset: patterns.image(&model.offset()),
            flat: patterns.image(&vec![1.0; operator.shape().1]),
            spread,
        }
    }

    /// The whitened system at a noise level, with the readings that are there, and with no more rows than count where none is
    /// missing; `None` where the noise is not positive definite.
    pub(super) fn whitened(
        &self,
        model: &Model,
        noise: &[f32],
        gain: f32,
        missing: &[u32],
    ) -> Option<System> {
        let whitener = Whitener::new(&self.spread, noise, gain, missing)?;
        let mut system = self.system(model, whitener);
        if !missing.is_empty() {
            return Some(system); // it is of one frame, whose few iterations cost less than fewer rows
        }
        let compressed = model.features.as_ref().and_then(|f| system.compress(f));
        let basis = compressed.or_else(|| system.shrink());
        system.basis = basis.map(|basis| {
            let rounded = Images::rounded(0..basis.ncols(), basis.nrows(), |reading, values| {
                let row = values.iter_mut().zip(basis.row(reading).iter());
                row.for_each(|(to, v)| *to = *v);
            });
            Arc::new(rounded)
        });
        Some(system)
    }

    /// The readings, (J·m), of features φ(u) and c.
    pub(super) fn readings(&self, features: &[f32], error: &[f64]) -> Vec<f32> {
        let mut readings = self.offset.clone();
        let error = error.iter().map(|&c| c as f32);
        let weights: Vec<f32> = features.iter().copied().chain(error).collect();
        self.columns.add(&weights, &mut readings);
        readings
    }

    /// The system behind a whitener, as long as the readings.
    pub(super) fn system(&self, model: &Model, whitener: Whitener) -> System {
        let columns = &self.columns;
        let pick = |c, rows: &[u32], values: &mut [f32]| columns.pick(c, rows, values);
        let matrix = whitener.apply_columns(columns.count(), pick);
        let [offset] = whitener.apply([&self.offset]);
        let error = matrix
            .as_ref()
            .subcols(model.feature_len(), model.error_len());
        System {
            features: model.feature_len(),
            readings: self.offset.len(),
            gram: symmetric_product(error),
            flat: self.flat(&whitener),
            error_rows: matrix.nrows(),
            whitener: Arc::new(whitener),
            matrix: Arc::new(matrix),
            basis: None,
            offset: offset.to_vec(),
            gaps: None,
        }
    }
}

impl Fused {
    /// An orthonormal basis of what flat channels read behind a whitener, (readings) each.
    fn flat(&self, whitener: &Whitener) -> Vec<Vec<f32>> {
        let readings = self.flat.len();
        let channels = 0..self.offset.len() / readings;
        orthonormal(channels.map(|channel| {
            let mut y = vec![0.0; self.offset.len()];
            y[channel * readings..(channel + 1) * readings].copy_from_slice(&self.flat);
            let [flat] = whitener.apply([&y]);
            flat.to_vec()
        }))
    }
}

/// One pattern set at one noise level: whitened, and shrunk to the directions that count.
#[derive(Clone, Debug)]
pub(super) struct System {
    /// H
    features: usize,
    /// J·m
    readings: usize,
    pub(super) whitener: Arc<Whitener>,
    /// M = S₀^(−½) A \[W_d, E Λ^½\], or along the directions of `basis` only, (rows × H + q), and beside `gaps`
    matrix: Arc<Mat<f32>>,
    /// rows, from the first on, that c changes
    error_rows: usize,
    /// orthonormal directions of whitened readings, where not all count, (readings × rows)
    pub(super) basis: Option<Arc<Images<i16>>>,
    /// S₀^(−½) A(b + ē), (readings)
    pub(super) offset: Vec<f32>,
    /// M_Eᵀ M_E, (q × q)
    pub(super) gram: Grid<f64>,
    /// an orthonormal basis of what flat channels read, whitened, (readings) each
    flat: Vec<Vec<f32>>,
    /// what is missing from the readings that the whitener is for, and M without
    gaps: Option<(Gaps, Arc<Mat<f32>>)>,
}

/// A frame's readings in a system's coordinates.
#[derive(Clone, Debug, Default)]
pub(super) struct Readings {
    /// ỹ, or Qᵀỹ, (rows)
    pub(super) y: Buffer<f32>,
    /// ‖ỹ‖² − ‖Qᵀỹ‖²: what no state can explain
    pub(super) outside: f64,
    /// ỹ
    pub(super) whitened: Buffer<f32>,
    /// readings that count
    pub(super) count: usize,
    /// S₀^(−½) b of readings b without a sign, (rows), 0 of those with one; empty where all have one
    pub(super) magnitudes: Buffer<f32>,
}

impl System {
    /// Makes it no longer than it has columns, where it was: exact, and no iteration grows with m any more. The basis of
    /// what is left.
    fn shrink(&mut self) -> Option<Mat<f32>> {
        if self.matrix.nrows() <= self.matrix.ncols() {
            return None;
        }
        let qr = std::mem::replace(&mut self.matrix, Arc::new(Mat::new())).qr(); // as large as Q, which it makes room for
        self.matrix = Arc::new(qr.thin_R().to_owned());
        self.error_rows = self.matrix.nrows();
        Some(qr.compute_thin_Q())
    }

    /// Keeps the directions only in which the model's images differ, see [`directions`], where those are fewer: their basis.
    fn compress(&mut self, features: &Mat<f32>) -> Option<Mat<f32>> {
        let errors = self.matrix.ncols() - self.features;
        if self.matrix.nrows() <= errors {
            return None; // what c can do takes every direction
        }
        let kept = directions(self.head(), self.error(), features.as_ref());
        if kept.ncols() * 10 > self.matrix.nrows() * 9 {
            return None;
        }
        self.error_rows = errors;
        self.matrix = Arc::new(kept.transpose() * &*self.matrix);
        Some(kept)
    }

    /// The columns of the head, (rows × H).
    pub(super) fn head(&self) -> MatRef<'_, f32> {
        self.matrix.as_ref().as_ref().subcols(0, self.features)
    }

    /// The columns of the error where they are not 0: in the first rows, (any × q).
    pub(super) fn error(&self) -> MatRef<'_, f32> {
        let errors = self.matrix.ncols() - self.features;
        let matrix = self.matrix.as_ref().as_ref();
        matrix.submatrix(0, self.features, self.error_rows, errors)
    }

    /// ỹ = S₀^(−½) (y − A(b + ē)) of each of some readings y, (J·m), where they count.
    pub(super) fn whiten<const V: usize>(&self, readings: [&[f32]; V]) -> [Buffer<f32>; V] {
        let cleared = readings.map(|y| match &self.gaps {
            Some((gaps, _)) => gaps.cleared(y),
            None => Buffer::default(),
        });
        let shown: [&[f32]; V] = match &self.gaps {
            Some(_) => cleared.each_ref().map(|y| &y[..]),
            None => readings,
        };
        let mut whitened = self.whitener.apply(shown);
        for whitened in &mut whitened {
            self.take_out(whitened);
            let offsets = whitened.iter_mut().zip(&self.offset);
            offsets.for_each(|(y, o)| *y -= o);
        }
        whitened
    }

    /// Whitens and projects readings y, (J·m).
    pub(super) fn project(&self, y: &[f32]) -> Readings {
        let [whitened] = self.whiten([y]);
        self.project_whitened(whitened)
    }

    /// Projects whitened readings, (readings).
    pub(super) fn project_whitened(&self, whitened: Buffer<f32>) -> Readings {
        let mut y = match &self.basis {
            Some(basis) => basis.products(&whitened),
            None => whitened.clone(),
        };
        if let Some((gaps, _)) = &self.gaps {
            gaps.turn(&mut y);
        }
        Readings {
            outside: match self.basis {
                Some(_) => (energy(&whitened) - energy(&y)).max(0.0),
                None => 0.0,
            },
            y,
            whitened,
            count: self.count(),
            magnitudes: Buffer::default(),
        }
    }

    /// Readings that count.
    pub(super) fn count(&self) -> usize {
        self.offset.len() - self.gaps.as_ref().map_or(0, |(gaps, _)| gaps.count())
    }

    /// The same of a frame of which some readings are missing, positions in y, strictly increasing.
    ///
    /// # Panics
    /// Where some are missing already.
    pub(super) fn without(&self, missing: &[u32]) -> Self {
        assert!(self.gaps.is_none(), "the system of all readings");
        let readings = self.offset.len();
        let gaps = Gaps::new(&self.whitener, self.basis.as_deref(), readings, missing);
        let matrix = gaps.turned(self.matrix.as_ref().as_ref());
        let error = matrix
            .as_ref()
            .subcols(self.features, matrix.ncols() - self.features);
        let taken_out = |v: &Vec<f32>| {
            let mut v = v.clone();
            gaps.take_out(&mut v);
            v
        };
        Self {
            features: self.features,
            readings: self.readings,
            whitener: Arc::clone(&self.whitener),
            error_rows: matrix.nrows(),
            basis: self.basis.clone(),
            offset: taken_out(&self.offset),
            gram: symmetric_product(error),
            flat: orthonormal(self.flat.iter().map(taken_out).filter(|v| energy(v) > 1e-6)),
            matrix: Arc::new(matrix),
            gaps: Some((gaps, Arc::clone(&self.matrix))),
        }
    }

    /// Takes out of whitened readings what missing ones would change.
    fn take_out(&self, whitened: &mut [f32]) {
        if let Some((gaps, _)) = &self.gaps {
            gaps.take_out(whitened);
        }
    }
}

impl System {
    /// S₀⁻¹ (y − A(G(u) + ē + E c)), indexed like y, (J·m), of what [`System::left`] says; 0 where a reading is missing.
    pub(super) fn dual(&self, left: &[f32]) -> Buffer<f32> {
        let mut dual = Buffer::zeros(self.readings);
        self.whitener.apply_transposed(left, &mut dual);
        match &self.gaps {
            Some((gaps, _)) => gaps.cleared(&dual), // but for rounding they are
            None => dual,
        }
    }

    /// Diagonal of S₀⁻¹, indexed like y, (J·m); 0 where a reading is missing.
    pub(super) fn precision(&self) -> Vec<f32> {
        let mut precision = self.whitener.precision(self.readings);
        if let Some((gaps, _)) = &self.gaps {
            gaps.lower(&self.whitener, &mut precision);
        }
        precision
    }

    /// S₀^(−½) (y − A(G(u) + ē + E c)), (readings), of whitened readings ỹ, features φ(u) and c.
    pub(super) fn left(&self, whitened: &[f32], features: &[f32], error: &[f64]) -> Buffer<f32> {
        let matrix = match &self.gaps {
            Some((_, matrix)) => matrix.as_ref().as_ref(),
            None => self.matrix.as_ref().as_ref(),
        };
        let mut explained = Buffer::zeros(matrix.nrows());
        let error = error.iter().map(|&c| c as f32);
        add_columns(
            matrix,
            features.iter().copied().chain(error),
            &mut explained,
        );
        let mut left = Buffer::from(whitened);
        match &self.basis {
            None => left.iter_mut().zip(&explained).for_each(|(l, e)| *l -= e),
            Some(basis) => {
                explained.iter_mut().for_each(|e| *e = -*e);
                basis.add(&explained, &mut left);
            }
        }
        self.take_out(&mut left);
        left
    }
}

impl System {
    /// χ² of readings, ỹ whitened, (readings), beside the best flat channels: what an estimate that knows nothing of the scene
    /// but its mean would leave. `None` where readings tell no more than that.
    pub(super) fn contrast(&self, whitened: &[f32]) -> Option<f64> {
        if self.count() <= self.flat.len() {
            return None;
        }
        let whole = whitened.iter().zip(&self.offset).map(|(y, o)| y + o);
        let mut whole: Buffer<f32> = whole.collect();
        self.flat.iter().for_each(|flat| take_out(flat, &mut whole));
        Some(energy(&whole)).filter(|energy| *energy > 0.0)
    }
}

/// Column `index` of a column-major matrix.
pub(super) fn column(matrix: MatRef<'_, f32>, index: usize) -> &[f32] {
    matrix
        .col(index)
        .try_as_col_major()
        .map_or(&[], |column| column.as_slice())
}

/// out += matrix · weights; columns of weight 0 are not read.
pub(super) fn add_columns(
    matrix: MatRef<'_, f32>,
    weights: impl Iterator<Item = f32>,
    out: &mut [f32],
) {
    let columns = weights
        .enumerate()
        .map(|(index, weight)| (weight, column(matrix, index)));
    crate::simd::add_columns(columns, out);
}

/// Mᵀ M in f64, (cols × cols).
pub(super) fn symmetric_product(matrix: MatRef<'_, f32>) -> Grid<f64> {
    Grid::of(Grid::square(matrix).as_ref(), f64::from)
}

/// I_J ⊗ A, applied to images of J·n values.
pub(super) struct Patterns<'a> {
    operator: &'a dyn Operator,
    scratch: Vec<f32>,
}

impl<'a> Patterns<'a> {
    pub(super) fn new(operator: &'a dyn Operator) -> Self {
        Self {
            operator,
            scratch: vec![0.0; operator.scratch()],
        }
    }

    fn apply(&mut self, image: &[f32], out: &mut [f32]) {
        let (readings, pixels) = self.operator.shape();
        for (channel, out) in image
            .chunks_exact(pixels)
            .zip(out.chunks_exact_mut(readings))
        {
            self.operator.apply(channel, out, &mut self.scratch);
        }
    }

    pub(super) fn image(&mut self, image: &[f32]) -> Vec<f32> {
        let (readings, pixels) = self.operator.shape();
        let mut out = vec![0.0; image.len() / pixels * readings];
        self.apply(image, &mut out);
        out
    }

    /// Of images kept in 16 bits, one after another, and kept so.
    fn columns(&mut self, images: [&Columns; 2]) -> Columns {
        let (readings, pixels) = self.operator.shape();
        let len = images[0].len();
        let count = images.iter().map(|images| images.count()).sum();
        let mut out: Mat<f32> = Mat::zeros(len / pixels * readings, count);
        let mut image = vec![0.0; len];
        let all = images
            .into_iter()
            .flat_map(|images| (0..images.count()).map(move |i| (images, i)));
        for (r, (images, index)) in all.enumerate() {
            images.image(index, &mut image);
            self.apply(&image, out.col_as_slice_mut(r));
        }
        Columns::new(out.ncols(), out.nrows(), |i, values| {
            let row = values.iter_mut().zip(out.row(i).iter());
            row.for_each(|(to, v)| *to = *v);
        })
    }

    /// The first images, at most `count`, as columns of readings.
    pub(super) fn images(&mut self, images: &Columns, count: usize) -> Mat<f32> {
        let (readings, pixels) = self.operator.shape();
        let count = count.min(images.count());
        let mut out: Mat<f32> = Mat::zeros(images.len() / pixels * readings, count);
        let mut image = vec![0.0; images.len()];
        for r in 0..count {
            images.image(r, &mut image);
            self.apply(&image, out.col_as_slice_mut(r));
        }
        out
    }
}
