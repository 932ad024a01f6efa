//! One image of ranges as a PNG.

use super::sheet::{SheetError, encode, range_colour};
use crate::frame::RangeImage;

/// The bytes of a PNG, a pixel a pixel; ranges up to `max_range`, m, in the colours of the contact sheet: blue (near) to red (far), grey where nothing is valid.
///
/// # Errors
/// Where the image has no pixel, or the encoder fails.
pub fn range_picture(max_range: f32, image: &RangeImage) -> Result<Vec<u8>, SheetError> {
    if image.pixels() == 0 {
        return Err(SheetError::Frames { row: 0 });
    }
    let rgb: Vec<u8> = (0..image.pixels())
        .flat_map(|pixel| range_colour(image, pixel, max_range).into_array())
        .collect();
    encode(image.cols, image.rows, &rgb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_is_bluer_than_far_and_nothing_is_grey() {
        let mut image = RangeImage::empty(1, 3);
        for (pixel, range) in [(0, 1.0), (1, 29.0)] {
            (image.range[pixel], image.valid[pixel]) = (range, true);
        }
        let bytes = range_picture(30.0, &image).unwrap();
        let mut reader = png::Decoder::new(std::io::Cursor::new(bytes))
            .read_info()
            .unwrap();
        let mut rgb = vec![0; 9];
        reader.next_frame(&mut rgb).unwrap();
        assert!(rgb[2] > rgb[0] && rgb[3] > rgb[5], "{rgb:?}");
        assert_eq!(rgb[6..], [60, 60, 66]);
        assert!(range_picture(30.0, &RangeImage::default()).is_err());
    }
}
