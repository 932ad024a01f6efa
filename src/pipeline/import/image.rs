//! Depth images of others: foxglove.RawImage, and ROS's sensor_msgs/Image in both its encodings.

use super::{ImportError, value};
use crate::dataset::{Geometry, MAX_PIXELS};
use crate::frame::RangeImage;
use crate::journal::Entry;
use crate::wire::foxglove;
use bytes::{Buf, Bytes};
use prost::Message;
use serde::Deserialize;

/// A depth image as it was recorded.
pub(super) struct Depth {
    pub(super) rows: usize,
    pub(super) cols: usize,
    step: usize,
    encoding: Encoding,
    big_endian: bool,
    data: Bytes,
}

#[derive(Clone, Copy)]
enum Encoding {
    /// u16, mm where nothing else is said, 0 = invalid
    Counts,
    /// f32, m where nothing else is said, not a number = invalid
    Floats,
}

/// What every kind of image says.
struct Raw {
    rows: u32,
    cols: u32,
    step: u32,
    encoding: String,
    big_endian: bool,
    data: Bytes,
}

#[derive(Deserialize)]
struct RosImage {
    _header: (RosStamp, String),
    height: u32,
    width: u32,
    encoding: String,
    is_bigendian: u8,
    step: u32,
    data: Vec<u8>,
}

#[derive(Deserialize)]
struct RosStamp {
    _sec: i32,
    _nanosec: u32,
}

/// The depth image of a message.
pub(super) fn decode(entry: &Entry) -> Result<Depth, ImportError> {
    let (schema, encoding) = (&entry.channel.schema, &entry.channel.encoding);
    let raw = match (schema.as_str(), encoding.as_str()) {
        ("foxglove.RawImage", "protobuf") => protobuf(&entry.data),
        ("sensor_msgs/msg/Image", "cdr") => cdr(&entry.data),
        ("sensor_msgs/Image", "ros1") => ros1(entry.data.clone()),
        _ => {
            let got = format!("{schema} in {encoding}");
            return value(
                format!("message on {}", entry.channel.topic),
                "foxglove.RawImage in protobuf, sensor_msgs/msg/Image in cdr, sensor_msgs/Image in ros1 or \
                 foxglove.PointCloud in protobuf",
                got,
            );
        }
    };
    let Some(raw) = raw else {
        let what = format!("message on {}", entry.channel.topic);
        return value(what, "a whole image", "bytes that are none");
    };
    let what = |part: &str| format!("{part} of the image on {}", entry.channel.topic);
    let (encoding, width) = match raw.encoding.as_str() {
        "16UC1" | "mono16" => (Encoding::Counts, 2),
        "32FC1" => (Encoding::Floats, 4),
        other => return value(what("encoding"), "16UC1, mono16 or 32FC1", other),
    };
    let (rows, cols, step) = (raw.rows as usize, raw.cols as usize, raw.step as usize);
    let pixels = rows.saturating_mul(cols);
    if pixels == 0 || pixels > MAX_PIXELS {
        return value(what("size"), "1 to 2²⁴ pixels", format!("{rows} × {cols}"));
    }
    if step < cols * width || raw.data.len() < step.saturating_mul(rows) {
        let got = format!("{} bytes in rows of {step}", raw.data.len());
        return value(
            what("data"),
            "rows × step bytes, a row no shorter than its pixels",
            got,
        );
    }
    Ok(Depth {
        rows,
        cols,
        step,
        encoding,
        big_endian: raw.big_endian,
        data: raw.data,
    })
}

impl Depth {
    /// Ranges along the rays of a camera; `scale_m` is metres per unit, by the encoding where it is not given.
    pub(super) fn ranges(
        &self,
        camera: &Geometry,
        scale_m: Option<f32>,
        max_range_m: f32,
    ) -> Result<RangeImage, ImportError> {
        let scale = scale_m.unwrap_or(match self.encoding {
            Encoding::Counts => 1e-3,
            Encoding::Floats => 1.0,
        });
        if !(scale > 0.0 && scale <= 1e3) {
            return value("scale_m", "a number above 0 and at most 1000", scale);
        }
        let mut image = RangeImage::empty(self.rows, self.cols);
        for pixel in 0..image.pixels() {
            let (row, col) = (pixel / self.cols, pixel % self.cols);
            let depth = self.depth(row, col) * scale;
            let Some(ray) = camera.direction(row, col) else {
                continue;
            };
            let range = depth / ray[0]; // depth is along the axis
            if range > 0.0 && range <= max_range_m {
                (image.range[pixel], image.valid[pixel]) = (range, true);
            }
        }
        Ok(image)
    }

    fn depth(&self, row: usize, col: usize) -> f32 {
        let at = |width: usize| &self.data[row * self.step + col * width..][..width];
        match (self.encoding, self.big_endian) {
            (Encoding::Counts, false) => at(2).get_u16_le().into(),
            (Encoding::Counts, true) => at(2).get_u16().into(),
            (Encoding::Floats, false) => at(4).get_f32_le(),
            (Encoding::Floats, true) => at(4).get_f32(),
        }
    }
}

fn protobuf(bytes: &Bytes) -> Option<Raw> {
    let image = foxglove::RawImage::decode(bytes.clone()).ok()?;
    Some(Raw {
        rows: image.height,
        cols: image.width,
        step: image.step,
        encoding: image.encoding,
        big_endian: false,
        data: image.data,
    })
}

/// CDR: four bytes that say the byte order, then the message.
fn cdr(bytes: &Bytes) -> Option<Raw> {
    const HEADER: usize = 4;
    let body = bytes.get(HEADER..)?;
    let image: RosImage = match bytes[1] & 1 {
        1 => cdr_encoding::from_bytes::<_, byteorder::LittleEndian>(body),
        _ => cdr_encoding::from_bytes::<_, byteorder::BigEndian>(body),
    }
    .ok()?
    .0;
    Some(Raw {
        rows: image.height,
        cols: image.width,
        step: image.step,
        encoding: image.encoding,
        big_endian: image.is_bigendian != 0,
        data: image.data.into(),
    })
}

/// ROS 1: little-endian, nothing aligned, strings and arrays after their lengths.
fn ros1(mut bytes: Bytes) -> Option<Raw> {
    fn word(bytes: &mut Bytes) -> Option<u32> {
        bytes.try_get_u32_le().ok()
    }
    fn text(bytes: &mut Bytes) -> Option<Bytes> {
        let len = word(bytes)? as usize;
        (len <= bytes.len()).then(|| bytes.split_to(len))
    }
    (0..3).try_for_each(|_| word(&mut bytes).map(|_| ()))?; // sequence, seconds, nanoseconds
    text(&mut bytes)?; // coordinate frame
    let (rows, cols) = (word(&mut bytes)?, word(&mut bytes)?);
    let encoding = String::from_utf8(text(&mut bytes)?.to_vec()).ok()?;
    let big_endian = bytes.try_get_u8().ok()? != 0;
    Some(Raw {
        rows,
        cols,
        step: word(&mut bytes)?,
        encoding,
        big_endian,
        data: text(&mut bytes)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::Channel;
    use bytes::BufMut;
    use proptest::prelude::*;
    use std::sync::Arc;

    fn entry(schema: &str, encoding: &str, data: Vec<u8>) -> Entry {
        Entry {
            channel: Arc::new(Channel {
                topic: "/depth".to_owned(),
                schema: schema.to_owned(),
                encoding: encoding.to_owned(),
            }),
            log_time_ns: 0,
            data: data.into(),
        }
    }

    /// A 2 × 3 image of counts 1 to 6, as ROS 1 writes it.
    fn ros1_image() -> Vec<u8> {
        let mut out = vec![];
        [7u32, 1, 2].iter().for_each(|v| out.put_u32_le(*v));
        out.put_u32_le(3);
        out.put_slice(b"cam");
        [2u32, 3, 5].iter().for_each(|v| out.put_u32_le(*v));
        out.put_slice(b"16UC1");
        out.put_u8(0);
        [6u32, 12].iter().for_each(|v| out.put_u32_le(*v));
        (1..=6u16).for_each(|v| out.put_u16_le(v));
        out
    }

    /// The same as ROS 2 writes it: words aligned to four bytes, strings ended by a zero.
    fn ros2_image() -> Vec<u8> {
        let mut out = vec![];
        [1u32, 2, 4].iter().for_each(|v| out.put_u32_le(*v));
        out.put_slice(b"cam\0");
        [2u32, 3, 6].iter().for_each(|v| out.put_u32_le(*v));
        out.put_slice(b"16UC1\0");
        out.put_u8(0);
        out.put_u8(0); // up to the next word
        [6u32, 12].iter().for_each(|v| out.put_u32_le(*v));
        (1..=6u16).for_each(|v| out.put_u16_le(v));
        let mut whole = vec![0, 1, 0, 0];
        whole.extend(out);
        whole
    }

    #[test]
    fn both_kinds_of_ros_images_are_read() {
        for entry in [
            entry("sensor_msgs/Image", "ros1", ros1_image()),
            entry("sensor_msgs/msg/Image", "cdr", ros2_image()),
        ] {
            let depth = decode(&entry).unwrap();
            assert_eq!((depth.rows, depth.cols), (2, 3));
            let counts: Vec<f32> = (0..6).map(|i| depth.depth(i / 3, i % 3)).collect();
            assert_eq!(counts, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        }
    }

    #[test]
    fn other_messages_are_named() {
        let error = |e: &Entry| decode(e).err().unwrap().to_string();
        let other = entry("sensor_msgs/msg/Imu", "cdr", vec![]);
        assert!(error(&other).contains("sensor_msgs/msg/Imu"));
        let mut short = ros1_image();
        short.truncate(50);
        assert!(error(&entry("sensor_msgs/Image", "ros1", short)).contains("whole image"));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            for (schema, encoding) in [
                ("sensor_msgs/Image", "ros1"),
                ("sensor_msgs/msg/Image", "cdr"),
                ("foxglove.RawImage", "protobuf"),
            ] {
                let _ = decode(&entry(schema, encoding, bytes.clone()));
            }
        }
    }
}
