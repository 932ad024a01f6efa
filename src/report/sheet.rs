//! The contact sheet: recovered range and return, and where the truth is known that and the error, a row a frame, as a PNG.

use crate::frame::RangeImage;
use colorous::{Color, GREYS, Gradient, INFERNO, TURBO};
use font8x8::legacy::BASIC_LEGACY;

/// Pixels of the sheet per pixel of a frame.
const ZOOM: usize = 3;
/// Space between panels and around the sheet, pixels.
const MARGIN: usize = 8;
/// Height of a line of text, pixels.
const LINE: usize = 12;
/// Errors at least this share of the largest range have the brightest colour.
const WORST_ERROR: f32 = 0.2;

const BACKGROUND: Color = Color {
    r: 24,
    g: 24,
    b: 28,
};
const NOTHING: Color = Color {
    r: 60,
    g: 60,
    b: 66,
};
const TEXT: Color = Color {
    r: 230,
    g: 230,
    b: 230,
};

/// One frame of the sheet.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// what is written above it, ASCII
    pub caption: String,
    /// what was there, where that is known
    pub truth: Option<RangeImage>,
    /// what was recovered
    pub recovered: RangeImage,
}

/// Why no sheet was made.
#[derive(Debug, thiserror::Error)]
pub enum SheetError {
    /// frames of different sizes, or none
    #[error("expected at least one frame, all of one size, got otherwise at row {row}")]
    Frames {
        /// the offending row
        row: usize,
    },
    /// the picture could not be encoded
    #[error("cannot encode the contact sheet")]
    Png(#[from] png::EncodingError),
}

/// What a part of a row shows.
#[derive(Clone, Copy)]
enum Panel {
    Truth,
    Range,
    Error,
    Return,
}

struct Canvas {
    width: usize,
    height: usize,
    rgb: Vec<u8>,
}

/// The bytes of a PNG; ranges up to `max_range`, m.
///
/// Without the truth of any frame there are only ranges and returns. Range is blue (near) to red (far), the error black (none) to yellow (a fifth of the largest range or more), the
/// return black to white (the strongest of all frames); grey is where nothing returned, or where the recovered return is too weak to be relied on.
///
/// # Errors
/// Where there is no frame or they differ in size, or the encoder fails.
pub fn sheet(max_range: f32, rows: &[Row]) -> Result<Vec<u8>, SheetError> {
    let size = rows
        .first()
        .map_or((0, 0), |row| (row.recovered.rows, row.recovered.cols));
    let fits = |image: &RangeImage| (image.rows, image.cols) == size && image.pixels() > 0;
    if rows.is_empty() {
        return Err(SheetError::Frames { row: 0 });
    }
    if let Some(row) = rows
        .iter()
        .position(|row| !row.truth.as_ref().is_none_or(fits) || !fits(&row.recovered))
    {
        return Err(SheetError::Frames { row });
    }
    let known = rows.iter().any(|row| row.truth.is_some());
    let panels: &[(Panel, String)] = if known {
        &[
            (Panel::Truth, format!("true range 0-{max_range:.0} m")),
            (Panel::Range, "recovered range".to_owned()),
            (
                Panel::Error,
                format!("error 0-{:.0} m", WORST_ERROR * max_range),
            ),
            (Panel::Return, "recovered return".to_owned()),
        ]
    } else {
        &[
            (Panel::Range, format!("range 0-{max_range:.0} m")),
            (Panel::Return, "return".to_owned()),
        ]
    };
    let (panel_width, panel_height) = (size.1 * ZOOM, size.0 * ZOOM);
    let row_height = LINE + panel_height + MARGIN;
    let mut canvas = Canvas::new(
        MARGIN + panels.len() * (panel_width + MARGIN),
        MARGIN + LINE + rows.len() * row_height,
    );
    for (at, (_, head)) in panels.iter().enumerate() {
        canvas.text(MARGIN + at * (panel_width + MARGIN), MARGIN, head);
    }
    let returns = rows.iter().flat_map(|row| &row.recovered.returns);
    let max_return = returns.copied().fold(f32::MIN_POSITIVE, f32::max);
    for (index, row) in rows.iter().enumerate() {
        let top = MARGIN + LINE + index * row_height;
        canvas.text(MARGIN, top, &row.caption);
        for (at, (panel, _)) in panels.iter().enumerate() {
            let left = MARGIN + at * (panel_width + MARGIN);
            for pixel in 0..row.recovered.pixels() {
                let (y, x) = (pixel / size.1 * ZOOM, pixel % size.1 * ZOOM);
                canvas.fill(
                    left + x,
                    top + LINE + y,
                    colour(*panel, row, pixel, (max_range, max_return)),
                );
            }
        }
    }
    encode(canvas.width, canvas.height, &canvas.rgb)
}

fn colour(panel: Panel, row: &Row, pixel: usize, (max_range, max_return): (f32, f32)) -> Color {
    let recovered = &row.recovered;
    match (panel, &row.truth) {
        (Panel::Range, _) => range_colour(recovered, pixel, max_range),
        (Panel::Return, _) => shade(GREYS, 1.0 - recovered.returns[pixel] / max_return),
        (Panel::Truth, Some(truth)) => range_colour(truth, pixel, max_range),
        (Panel::Error, Some(truth)) if truth.valid[pixel] => {
            let error = (recovered.range[pixel] - truth.range[pixel]).abs();
            shade(INFERNO, error / (WORST_ERROR * max_range))
        }
        _ => NOTHING,
    }
}

/// A pixel's range, blue (near) to red (far); grey where it is not valid.
pub(super) fn range_colour(image: &RangeImage, pixel: usize, max_range: f32) -> Color {
    match image.valid[pixel] {
        true => shade(TURBO, image.range[pixel] / max_range),
        false => NOTHING,
    }
}

fn shade(map: Gradient, share: f32) -> Color {
    map.eval_continuous(f64::from(share.clamp(0.0, 1.0)))
}

/// The bytes of a PNG of so many columns and rows.
pub(super) fn encode(width: usize, height: usize, rgb: &[u8]) -> Result<Vec<u8>, SheetError> {
    let mut out = Vec::new();
    let mut encoder = png::Encoder::new(&mut out, width as u32, height as u32); // a few thousand at most
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(rgb)?;
    writer.finish()?;
    Ok(out)
}

impl Canvas {
    fn new(width: usize, height: usize) -> Self {
        let mut canvas = Self {
            width,
            height,
            rgb: vec![0; 3 * width * height],
        };
        (0..width * height).for_each(|i| canvas.set(i % width, i / width, BACKGROUND));
        canvas
    }

    fn set(&mut self, x: usize, y: usize, colour: Color) {
        if x < self.width && y < self.height {
            self.rgb[3 * (y * self.width + x)..][..3]
                .copy_from_slice(&[colour.r, colour.g, colour.b]);
        }
    }

    fn fill(&mut self, left: usize, top: usize, colour: Color) {
        (0..ZOOM * ZOOM).for_each(|i| self.set(left + i % ZOOM, top + i / ZOOM, colour));
    }

    fn text(&mut self, left: usize, top: usize, text: &str) {
        for (position, byte) in text.bytes().enumerate() {
            let glyph = BASIC_LEGACY
                .get(usize::from(byte))
                .copied()
                .unwrap_or_default();
            for (y, bits) in glyph.iter().enumerate() {
                for x in (0..8).filter(|x| bits >> x & 1 == 1) {
                    self.set(left + 8 * position + x, top + y, TEXT);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_has_a_row_for_each_frame() {
        let image = RangeImage::empty(4, 6);
        let row = Row {
            caption: "frame 0".to_owned(),
            truth: Some(image.clone()),
            recovered: image,
        };
        let untold = Row {
            truth: None,
            ..row.clone()
        };
        for (rows, panels) in [
            ([&row, &row], 4),
            ([&untold, &row], 4),
            ([&untold, &untold], 2),
        ] {
            let bytes = sheet(30.0, &rows.map(Row::clone)).unwrap();
            let reader = png::Decoder::new(std::io::Cursor::new(bytes))
                .read_info()
                .unwrap();
            let expected = (8 + panels * (18 + 8), 8 + 12 + 2 * (12 + 12 + 8));
            assert_eq!((reader.info().width, reader.info().height), expected);
        }
        let odd = Row {
            recovered: RangeImage::empty(3, 6),
            ..row.clone()
        };
        assert!(matches!(
            sheet(30.0, &[row, odd]),
            Err(SheetError::Frames { row: 1 })
        ));
        assert!(sheet(30.0, &[]).is_err());
    }
}
