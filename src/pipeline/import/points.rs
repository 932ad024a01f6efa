//! Point clouds of others, seen from the sensor's place.

use super::{Field, ImportError, value};
use crate::frame::{Geometry, RangeImage};
use crate::journal::Entry;
use crate::wire::foxglove::{PointCloud, packed_element_field::NumericType};
use bytes::Buf;
use prost::Message;

/// The most points of a cloud.
const MAX_POINTS: usize = 1 << 24;

/// Where in a point its parts are.
struct Layout {
    stride: usize,
    xyz: [(usize, NumericType); 3],
    intensity: Option<(usize, NumericType)>,
}

/// The nearest point of each pixel; returns from the cloud's intensity (over 255 where it exceeds 1), or `constant`.
pub(super) fn bin(
    entry: &Entry,
    geometry: &Geometry,
    size: (usize, usize),
    max_range_m: f32,
    constant: f32,
) -> Result<RangeImage, ImportError> {
    let (cloud, layout) = decode(entry)?;
    let mut image = RangeImage::empty(size.0, size.1);
    let mut brightest = 0.0f32;
    for point in cloud.data.chunks_exact(layout.stride) {
        let p = layout.xyz.map(|at| read(point, at));
        let range = p.iter().map(|v| v * v).sum::<f32>().sqrt();
        if !(range > 0.0 && range <= max_range_m) {
            continue;
        }
        let Some((row, col)) = geometry.pixel(size, p) else {
            continue;
        };
        let pixel = row * size.1 + col;
        if !image.valid[pixel] || range < image.range[pixel] {
            let s = layout.intensity.map_or(constant, |at| read(point, at));
            image.range[pixel] = range;
            image.valid[pixel] = s > 0.0;
            image.returns[pixel] = if s > 0.0 { s } else { 0.0 };
            brightest = brightest.max(image.returns[pixel]);
        }
    }
    if brightest > 1.0 {
        image.returns.iter_mut().for_each(|s| *s /= 255.0);
    }
    (0..image.pixels())
        .filter(|&i| !image.valid[i])
        .collect::<Vec<_>>()
        .into_iter()
        .for_each(|i| image.clear(i));
    Ok(image)
}

/// The field of view that a cloud fills.
pub(super) fn field(entry: &Entry) -> Result<Field, ImportError> {
    let (cloud, layout) = decode(entry)?;
    let (mut azimuth, mut elevation) = (
        [f32::INFINITY, -f32::INFINITY],
        [f32::INFINITY, -f32::INFINITY],
    );
    for point in cloud.data.chunks_exact(layout.stride) {
        let [x, y, z] = layout.xyz.map(|at| read(point, at));
        if x == 0.0 && y == 0.0 && z == 0.0 {
            continue; // how clouds mark a ray without a return
        }
        let widen = |range: &mut [f32; 2], v: f32| *range = [range[0].min(v), range[1].max(v)];
        widen(&mut azimuth, y.atan2(x).to_degrees());
        widen(&mut elevation, z.atan2(x.hypot(y)).to_degrees());
    }
    Ok(Field { azimuth, elevation })
}

fn decode(entry: &Entry) -> Result<(PointCloud, Layout), ImportError> {
    let what = || format!("cloud on {}", entry.channel.topic);
    let cloud = match PointCloud::decode(entry.data.clone()) {
        Ok(cloud) => cloud,
        Err(error) => return value(what(), "a foxglove.PointCloud", error),
    };
    let stride = cloud.point_stride as usize;
    if stride == 0 || cloud.data.len() / stride > MAX_POINTS {
        let got = format!("{} bytes in points of {stride}", cloud.data.len());
        return value(what(), "up to 2²⁴ points of at least a byte", got);
    }
    let part = |name: &str| {
        let field = cloud.fields.iter().find(|field| field.name == name)?;
        let (offset, kind) = (field.offset as usize, field.r#type());
        (offset.saturating_add(width(kind)) <= stride && width(kind) > 0).then_some((offset, kind))
    };
    match (part("x"), part("y"), part("z")) {
        (Some(x), Some(y), Some(z)) => {
            let layout = Layout {
                stride,
                xyz: [x, y, z],
                intensity: part("intensity"),
            };
            Ok((cloud, layout))
        }
        _ => value(
            what(),
            "fields x, y and z within its points",
            "none of them, or not all",
        ),
    }
}

fn width(kind: NumericType) -> usize {
    match kind {
        NumericType::Unknown => 0,
        NumericType::Uint8 | NumericType::Int8 => 1,
        NumericType::Uint16 | NumericType::Int16 => 2,
        NumericType::Uint32 | NumericType::Int32 | NumericType::Float32 => 4,
        NumericType::Float64 => 8,
    }
}

fn read(point: &[u8], (offset, kind): (usize, NumericType)) -> f32 {
    let mut at = &point[offset..];
    match kind {
        NumericType::Unknown => f32::NAN,
        NumericType::Uint8 => at.get_u8().into(),
        NumericType::Int8 => at.get_i8().into(),
        NumericType::Uint16 => at.get_u16_le().into(),
        NumericType::Int16 => at.get_i16_le().into(),
        NumericType::Uint32 => at.get_u32_le() as f32,
        NumericType::Int32 => at.get_i32_le() as f32,
        NumericType::Float32 => at.get_f32_le(),
        NumericType::Float64 => at.get_f64_le() as f32,
    }
}
