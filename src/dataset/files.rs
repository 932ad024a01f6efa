//! Files in, each checked against a limit before anything is allocated for it.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::{DatasetError, MAX_FRAMES, MAX_PIXELS};

const MAX_TEXT: usize = 1 << 22;

fn failed(path: &Path) -> impl Fn(std::io::Error) -> DatasetError + '_ {
    |source| DatasetError::Read {
        path: path.to_owned(),
        source,
    }
}

/// A text file of at most 4 MiB.
///
/// # Errors
/// Where it cannot be read, is longer, or is no text.
pub fn read_text(path: &Path) -> Result<String, DatasetError> {
    let file = File::open(path).map_err(failed(path))?;
    let mut text = String::new();
    let got = file
        .take(MAX_TEXT as u64 + 1)
        .read_to_string(&mut text)
        .map_err(failed(path))?;
    if got > MAX_TEXT {
        return Err(DatasetError::Limit {
            path: path.to_owned(),
            what: "bytes",
            limit: MAX_TEXT,
            got,
        });
    }
    Ok(text)
}

/// One number per line; `follows` says what may come after the last that `counts`.
pub(super) fn column<T: FromStr + Copy>(
    path: &Path,
    expected: &'static str,
    follows: impl Fn(Option<T>, T) -> bool,
    counts: impl Fn(T) -> bool,
) -> Result<Vec<T>, DatasetError> {
    let mut values = Vec::new();
    let mut last = None;
    for (index, line) in read_text(path)?.lines().enumerate() {
        match line.trim().parse() {
            Ok(value) if !counts(value) => values.push(value),
            Ok(value) if follows(last, value) => {
                last = Some(value);
                values.push(value);
            }
            _ => {
                return Err(DatasetError::Line {
                    path: path.to_owned(),
                    line: index + 1,
                    expected,
                    got: line.chars().take(40).collect(),
                });
            }
        }
    }
    Ok(values)
}

/// The PNGs of a folder, in the order of their names.
pub(super) fn images(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed(folder))? {
        let path = entry.map_err(failed(folder))?.path();
        if path
            .extension()
            .is_none_or(|e| !e.eq_ignore_ascii_case("png"))
        {
            continue;
        }
        paths.push(path);
        if paths.len() > MAX_FRAMES {
            break;
        }
    }
    if paths.is_empty() || paths.len() > MAX_FRAMES {
        return Err(DatasetError::Limit {
            path: folder.to_owned(),
            what: "PNG images",
            limit: MAX_FRAMES,
            got: paths.len(),
        });
    }
    paths.sort_unstable();
    Ok(paths)
}

/// A grey PNG whose header has been read and checked, its pixels not yet.
pub(super) struct GreyImage<R: BufRead + Seek = BufReader<File>> {
    path: PathBuf,
    reader: png::Reader<R>,
    /// rows of pixels
    pub(super) rows: usize,
    /// columns of pixels
    pub(super) cols: usize,
}

impl GreyImage {
    /// Opens an image of so many bits per pixel, 8 or 16.
    pub(super) fn open(path: &Path, bits: u8) -> Result<Self, DatasetError> {
        let file = File::open(path).map_err(failed(path))?;
        Self::over(BufReader::new(file), path, bits)
    }
}

/// The pixels of a grey PNG of so many bits per pixel, 8 or 16: rows, columns, and bytes, row-major, big endian; `path` is its
/// name in errors.
///
/// # Errors
/// Where it is no such image, or has more than [`MAX_PIXELS`].
pub fn grey_png<R: BufRead + Seek>(
    png: R,
    path: &Path,
    bits: u8,
) -> Result<(usize, usize, Vec<u8>), DatasetError> {
    let image = GreyImage::over(png, path, bits)?;
    let (rows, cols) = (image.rows, image.cols);
    Ok((rows, cols, image.bytes(rows, cols)?))
}

impl<R: BufRead + Seek> GreyImage<R> {
    fn over(png: R, path: &Path, bits: u8) -> Result<Self, DatasetError> {
        let mut decoder = png::Decoder::new(png);
        decoder.set_transformations(png::Transformations::IDENTITY);
        let reader = decoder.read_info().map_err(|source| decode(path, source))?;
        let info = reader.info();
        let (rows, cols) = (info.height as usize, info.width as usize);
        if info.color_type != png::ColorType::Grayscale || info.bit_depth as u8 != bits {
            return Err(DatasetError::Depth {
                path: path.to_owned(),
                expected: bits,
                got: format!("{:?} of {} bits", info.color_type, info.bit_depth as u8),
            });
        }
        let pixels = rows.saturating_mul(cols);
        if pixels > MAX_PIXELS {
            return Err(DatasetError::Limit {
                path: path.to_owned(),
                what: "pixels",
                limit: MAX_PIXELS,
                got: pixels,
            });
        }
        Ok(Self {
            path: path.to_owned(),
            reader,
            rows,
            cols,
        })
    }

    /// The pixels' bytes, row-major, big endian.
    pub(super) fn bytes(mut self, rows: usize, cols: usize) -> Result<Vec<u8>, DatasetError> {
        if (self.rows, self.cols) != (rows, cols) {
            return Err(DatasetError::Size {
                path: self.path,
                rows,
                cols,
                got_rows: self.rows,
                got_cols: self.cols,
            });
        }
        let bits = self.reader.info().bit_depth as usize;
        let mut bytes = vec![0; rows * cols * bits / 8];
        self.reader
            .next_frame(&mut bytes)
            .map_err(|source| decode(&self.path, source))?;
        Ok(bytes)
    }
}

fn decode(path: &Path, source: png::DecodingError) -> DatasetError {
    DatasetError::Decode {
        path: path.to_owned(),
        source,
    }
}
