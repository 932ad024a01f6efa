//! The prior's file: safetensors, the architecture as JSON in its metadata.

mod unrolled;

use super::{
    Affine, CodeDistribution, Decoder, Encoder, Head, Matrix, Prior, PriorError, Provenance,
    RepresentationError, SecondMoments,
};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Key of the metadata that makes a safetensors file a prior.
pub(super) const KEY: &str = "relucent.prior";
/// Version of the format.
pub(super) const VERSION: u32 = 3;
/// The largest file that is read, bytes.
pub(super) const MAX_FILE: u64 = 1 << 30;
/// The largest size of anything: codes, layers, pixels per channel, channels.
const MAX_SIZE: usize = 1 << 20;
/// Matrices of at least this many entries are kept in 8 bits.
const EIGHT_BITS_FROM: usize = 1 << 15;

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    version: u32,
    name: String,
    rows: usize,
    cols: usize,
    /// relative to the last
    knots: Vec<f32>,
    rms_return: f32,
    code: usize,
    hidden: Vec<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unrolled: Option<unrolled::Sizes>,
    provenance: Provenance,
}

/// Only the version, so that other versions are named before their fields are judged.
#[derive(Deserialize)]
struct HeaderVersion {
    version: u32,
}

impl Prior {
    /// Reads a prior.
    ///
    /// # Errors
    /// Where the file cannot be read or is no prior; the error says what was expected and what was found.
    pub fn load(path: &Path) -> Result<Self, PriorError> {
        let io = |source| PriorError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        if size > MAX_FILE {
            return Err(PriorError::TooLarge { found: size });
        }
        let mut bytes = Vec::with_capacity(size as usize);
        let mut limited = file.take(MAX_FILE + 1); // what is no plain file does not say how long it is
        let read = limited.read_to_end(&mut bytes).map_err(io)? as u64;
        if read > MAX_FILE {
            return Err(PriorError::TooLarge { found: read });
        }
        Self::from_bytes(&bytes)
    }

    /// Reads a prior from the bytes of its file.
    ///
    /// # Errors
    /// As [`Prior::load`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, PriorError> {
        let container = |error: safetensors::SafeTensorError| PriorError::Container {
            found: error.to_string(),
        };
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(container)?;
        let header = metadata
            .metadata()
            .as_ref()
            .and_then(|m| m.get(KEY))
            .ok_or(PriorError::NoHeader)?;
        let header = parse_header(header)?;
        let tensors = Tensors(SafeTensors::deserialize(bytes).map_err(container)?);
        let outputs = header.knots.len() * header.rows * header.cols;
        let k = header.code;
        Ok(Self {
            decoder: tensors.decoder(&header, outputs)?,
            code: CodeDistribution {
                mean: tensors.vector("code.mean", k)?,
                factor: tensors.factor("code.factor", k)?,
            },
            error: tensors.error(&header, outputs)?,
            moments: tensors.moments(k, outputs)?,
            encoder: tensors.encoder(&header, outputs)?,
            unrolled: match &header.unrolled {
                Some(sizes) => Some(tensors.unrolled(sizes, header.knots.len())?),
                None => None,
            },
            name: header.name,
            rows: header.rows,
            cols: header.cols,
            knots: header.knots,
            rms_return: header.rms_return,
            provenance: header.provenance,
        })
    }

    /// The bytes of the prior's file: large matrices in 8 bits with a scale per row.
    ///
    /// # Errors
    /// Where the container cannot be built.
    pub fn to_bytes(&self) -> Result<Vec<u8>, PriorError> {
        let header = Header {
            version: VERSION,
            name: self.name.clone(),
            rows: self.rows,
            cols: self.cols,
            knots: self.knots.clone(),
            rms_return: self.rms_return,
            code: self.decoder.code_len(),
            hidden: self.decoder.layers.iter().map(|l| l.bias.len()).collect(),
            unrolled: self.unrolled.as_ref().map(unrolled::Sizes::of),
            provenance: self.provenance.clone(),
        };
        let header =
            serde_json::to_string(&header).map_err(|source| PriorError::Header { source })?;
        let mut out = Vec::new();
        for (name, shape, values) in self.tensors() {
            push_tensor(&mut out, name, shape, values);
        }
        let views = out.iter().map(|(name, dtype, shape, bytes)| {
            let view = TensorView::new(*dtype, shape.clone(), bytes)?;
            Ok((name.as_str(), view))
        });
        let container = |error: safetensors::SafeTensorError| PriorError::Container {
            found: error.to_string(),
        };
        let views = views.collect::<Result<Vec<_>, _>>().map_err(container)?;
        safetensors::serialize(views, Some(HashMap::from([(KEY.to_owned(), header)])))
            .map_err(container)
    }

    /// Writes the prior, whole or not at all.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), PriorError> {
        let io = |source| PriorError::Write {
            path: path.to_owned(),
            source,
        };
        let unfinished = path.with_extension("unfinished");
        std::fs::write(&unfinished, self.to_bytes()?).map_err(io)?;
        std::fs::rename(&unfinished, path).map_err(io)
    }

    /// Every tensor: name, shape, values.
    fn tensors(&self) -> Vec<Entry<'_>> {
        let mut out: Vec<Entry<'_>> = Vec::new();
        for (index, layer) in self.decoder.layers.iter().enumerate() {
            out.push(matrix_entry(
                &format!("decoder.{index}.weight"),
                &layer.weight,
            ));
            out.push(vector_entry(&format!("decoder.{index}.bias"), &layer.bias));
        }
        if let Head::Affine(head) = &self.decoder.head {
            out.push(matrix_entry("decoder.head.weight", &head.weight));
            out.push(vector_entry("decoder.head.bias", &head.bias));
        }
        out.push(vector_entry("code.mean", &self.code.mean));
        out.push(matrix_entry("code.factor", &self.code.factor));
        out.push(vector_entry("error.mean", &self.error.mean));
        out.push(matrix_entry("error.directions", &self.error.directions));
        out.push(vector_entry("error.variances", &self.error.variances));
        out.push(vector_entry("error.remainder", &self.error.remainder));
        out.push(matrix_entry("error.correlation", &self.error.correlation));
        out.push(vector_entry("moments.mean", &self.moments.mean));
        out.push(matrix_entry("moments.directions", &self.moments.directions));
        out.push(vector_entry("moments.variances", &self.moments.variances));
        out.push(matrix_entry("moments.cross", &self.moments.cross));
        out.push(vector_entry("moments.remainder", &self.moments.remainder));
        for (name, layer) in self.encoder.affine_layers() {
            out.push(matrix_entry(
                &format!("encoder.{name}.weight"),
                &layer.weight,
            ));
            out.push(vector_entry(&format!("encoder.{name}.bias"), &layer.bias));
        }
        out.push(matrix_entry("encoder.out.weight", &self.encoder.out));
        if let Some(network) = &self.unrolled {
            unrolled::entries(network, &mut out);
        }
        out
    }
}

fn matrix_entry<'a>(name: &str, m: &'a Matrix) -> Entry<'a> {
    (name.to_owned(), vec![m.rows(), m.cols()], m.data())
}

fn vector_entry<'a>(name: &str, v: &'a [f32]) -> Entry<'a> {
    (name.to_owned(), vec![v.len()], v)
}

/// A tensor: name, shape, values.
type Entry<'a> = (String, Vec<usize>, &'a [f32]);

fn parse_header(json: &str) -> Result<Header, PriorError> {
    let parse = |source| PriorError::Header { source };
    let HeaderVersion { version } = serde_json::from_str(json).map_err(parse)?;
    if version != VERSION {
        return Err(PriorError::Version { found: version });
    }
    let header: Header = serde_json::from_str(json).map_err(parse)?;
    let size = |what, max, found| {
        if (1..=max).contains(&found) {
            Ok(())
        } else {
            Err(PriorError::Size { what, max, found })
        }
    };
    size("rows", MAX_SIZE, header.rows)?;
    size("cols", MAX_SIZE, header.cols)?;
    size("channels", crate::frame::Knots::MAX, header.knots.len())?;
    size(
        "pixels in all channels",
        MAX_SIZE,
        header
            .rows
            .saturating_mul(header.cols)
            .saturating_mul(header.knots.len()),
    )?;
    size("code length", MAX_SIZE, header.code)?;
    size("decoder layers", 16, header.hidden.len())?;
    for &width in &header.hidden {
        size("layer width", MAX_SIZE, width)?;
    }
    if let Some(network) = &header.unrolled {
        for (what, max, found) in network.sizes() {
            size(what, max, found)?;
        }
    }
    if !header.rms_return.is_finite() || header.rms_return <= 0.0 {
        return Err(PriorError::RmsReturn {
            found: header.rms_return,
        });
    }
    let increasing = crate::frame::Knots::new(header.knots.clone()).is_ok();
    if !increasing || (header.knots[header.knots.len() - 1] - 1.0).abs() > 1e-5 {
        return Err(PriorError::Knots {
            found: header.knots,
        });
    }
    Ok(header)
}

/// The tensors of a file, checked as they are taken out.
struct Tensors<'a>(SafeTensors<'a>);

impl Tensors<'_> {
    fn decoder(&self, header: &Header, outputs: usize) -> Result<Decoder, PriorError> {
        let mut below = header.code;
        let mut layers = Vec::with_capacity(header.hidden.len());
        for (index, &width) in header.hidden.iter().enumerate() {
            layers.push(self.affine(&format!("decoder.{index}"), width, below)?);
            below = width;
        }
        let head = Head::Affine(self.affine("decoder.head", outputs, below + header.code)?);
        Ok(Decoder { layers, head })
    }

    fn error(&self, header: &Header, outputs: usize) -> Result<RepresentationError, PriorError> {
        let correlation = self.matrix("error.correlation", header.knots.len(), 2)?;
        let possible = |v| (0.0..1.0).contains(&v);
        check(
            "error.correlation",
            "correlations within [0, 1)",
            correlation.data(),
            possible,
        )?;
        let variances = self.positive("error.variances", self.rows_of("error.directions")?)?;
        Ok(RepresentationError {
            mean: self.vector("error.mean", outputs)?,
            directions: self.matrix("error.directions", variances.len(), outputs)?,
            variances,
            remainder: self.positive("error.remainder", outputs)?,
            correlation,
        })
    }

    fn moments(&self, k: usize, outputs: usize) -> Result<SecondMoments, PriorError> {
        let variances = self.positive("moments.variances", self.rows_of("moments.directions")?)?;
        Ok(SecondMoments {
            mean: self.vector("moments.mean", outputs)?,
            directions: self.matrix("moments.directions", variances.len(), outputs)?,
            cross: self.matrix("moments.cross", k, variances.len())?,
            variances,
            remainder: self.positive("moments.remainder", outputs)?,
        })
    }

    fn encoder(&self, header: &Header, outputs: usize) -> Result<Encoder, PriorError> {
        let grid = super::TokenGrid {
            rows: header.rows,
            cols: header.cols,
            channels: header.knots.len(),
        };
        for (what, side) in [("rows", header.rows), ("cols", header.cols)] {
            if !side.is_multiple_of(super::TokenGrid::MULTIPLE) {
                return Err(PriorError::Size {
                    what,
                    max: side - side % super::TokenGrid::MULTIPLE,
                    found: side,
                });
            }
        }
        let token = self.rows_of("encoder.token.weight")?;
        let block = self.rows_of("encoder.block.weight")?;
        let frame = self.rows_of("encoder.frame.weight")?;
        Ok(Encoder {
            token: self.affine("encoder.token", token, grid.token_len())?,
            block: self.affine(
                "encoder.block",
                block,
                super::TokenGrid::tokens_per_block().saturating_mul(token),
            )?,
            frame: self.affine("encoder.frame", frame, grid.blocks().saturating_mul(block))?,
            out: self.matrix("encoder.out.weight", header.code, frame)?,
            linear: self.affine("encoder.linear", header.code, outputs)?,
        })
    }

    fn affine(&self, name: &str, rows: usize, cols: usize) -> Result<Affine, PriorError> {
        let weight = self.matrix(&format!("{name}.weight"), rows, cols)?;
        Ok(Affine {
            weight,
            bias: self.vector(&format!("{name}.bias"), rows)?,
        })
    }

    fn matrix(&self, name: &str, rows: usize, cols: usize) -> Result<Matrix, PriorError> {
        Ok(Matrix::new(rows, cols, self.values(name, &[rows, cols])?))
    }

    fn vector(&self, name: &str, len: usize) -> Result<Vec<f32>, PriorError> {
        self.values(name, &[len])
    }

    fn positive(&self, name: &str, len: usize) -> Result<Vec<f32>, PriorError> {
        let values = self.vector(name, len)?;
        check(name, "values > 0", &values, |v| v > 0.0)?;
        Ok(values)
    }

    /// A lower triangular matrix with a positive diagonal.
    fn factor(&self, name: &str, size: usize) -> Result<Matrix, PriorError> {
        let factor = self.matrix(name, size, size)?;
        let bad = (0..size * size).find(|&i| match (i / size).cmp(&(i % size)) {
            std::cmp::Ordering::Less => factor.data()[i] != 0.0,
            std::cmp::Ordering::Equal => factor.data()[i] <= 0.0,
            std::cmp::Ordering::Greater => false,
        });
        match bad {
            None => Ok(factor),
            Some(index) => Err(PriorError::Value {
                tensor: name.to_owned(),
                expected: "a lower triangular matrix with positive diagonal",
                index,
                found: factor.data()[index],
            }),
        }
    }

    /// Number of rows of a matrix whose height the file itself chooses.
    fn rows_of(&self, name: &str) -> Result<usize, PriorError> {
        match self.view(name)?.shape() {
            [rows, _] if (1..=MAX_SIZE).contains(rows) => Ok(*rows),
            found => Err(PriorError::Shape {
                tensor: name.to_owned(),
                expected: vec![1, 0],
                found: found.to_vec(),
            }),
        }
    }

    fn view(&self, name: &str) -> Result<TensorView<'_>, PriorError> {
        self.0.tensor(name).map_err(|_| PriorError::Missing {
            tensor: name.to_owned(),
        })
    }

    /// The values of a tensor, finite, in f32.
    fn values(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, PriorError> {
        let view = self.view(name)?;
        if view.shape() != shape {
            let found = view.shape().to_vec();
            return Err(PriorError::Shape {
                tensor: name.to_owned(),
                expected: shape.to_vec(),
                found,
            });
        }
        let values: Vec<f32> = match view.dtype() {
            Dtype::F32 => floats(view.data()),
            Dtype::I8 => {
                let name = format!("{name}.scale");
                if self.view(&name)?.dtype() == Dtype::I8 {
                    return Err(PriorError::Type {
                        tensor: name,
                        found: Dtype::I8,
                    });
                }
                let scales = self.values(&name, &shape[..1])?;
                let row = view.data().len() / scales.len().max(1);
                let rows = view.data().chunks_exact(row.max(1)).zip(&scales);
                let mut values = Vec::with_capacity(view.data().len()); // growing would take twice that
                for (row, scale) in rows {
                    values.extend(row.iter().map(|&q| f32::from(q as i8) * scale));
                }
                values
            }
            found => {
                return Err(PriorError::Type {
                    tensor: name.to_owned(),
                    found,
                });
            }
        };
        check(name, "finite values", &values, f32::is_finite)?;
        Ok(values)
    }
}

fn check(
    tensor: &str,
    expected: &'static str,
    values: &[f32],
    good: impl Fn(f32) -> bool,
) -> Result<(), PriorError> {
    match values.iter().position(|&v| !good(v)) {
        None => Ok(()),
        Some(index) => Err(PriorError::Value {
            tensor: tensor.to_owned(),
            expected,
            index,
            found: values[index],
        }),
    }
}

type StoredTensor = (String, Dtype, Vec<usize>, Vec<u8>);

/// Adds a tensor: large matrices as 8 bits with a scale per row, everything else as f32, and the unrolled network too, which is
/// small and trained on from file to file.
fn push_tensor(out: &mut Vec<StoredTensor>, name: String, shape: Vec<usize>, values: &[f32]) {
    let exact = name.starts_with("unrolled.");
    if exact || shape.len() != 2 || values.len() < EIGHT_BITS_FROM {
        out.push((name, Dtype::F32, shape, bytes(values)));
        return;
    }
    let mut scales = Vec::with_capacity(shape[0]);
    let mut steps = Vec::with_capacity(values.len());
    for row in values.chunks_exact(shape[1]) {
        let scale = row.iter().fold(0.0f32, |most, v| most.max(v.abs())) / 127.0;
        let inverse = if scale > 0.0 { 1.0 / scale } else { 0.0 };
        steps.extend(row.iter().map(|v| (v * inverse).round() as i8 as u8));
        scales.push(scale);
    }
    out.push((
        format!("{name}.scale"),
        Dtype::F32,
        vec![shape[0]],
        bytes(&scales),
    ));
    out.push((name, Dtype::I8, shape, steps));
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect()
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}
