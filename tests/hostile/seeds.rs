//! Bytes that every decoder takes, for others to be made of.

use crate::decoders::SENSOR;
use crate::small::small;
use bytes::BufMut;
use mcap::Compression;
use prost::Message;
use relucent::clock::Monotonic;
use relucent::frame::{Measurement, Pose, RangeImage};
use relucent::journal::{DepthEncoding, Durability, View, Writer};
use relucent::pipeline::{Sensor, truth_message};
use relucent::sensing::{Blocks, Dense, Fourier, Hadamard, Mask, Pattern};
use relucent::wire::{self, v1};
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;
use std::sync::Arc;

pub(crate) fn of(decoder: &str) -> Vec<Vec<u8>> {
    match decoder {
        "measurement" => measurements(),
        "depth" => depths(),
        "description" => descriptions(),
        "log" => logs(),
        "import" => imports(),
        "prior" => priors(),
        "config" => configs(),
        "dataset" => datasets(),
        "image" => vec![png(16), png(8)],
        "histograms" => histograms(),
        other => panic!("no seeds of {other}"),
    }
}

/// With numbers of 32 bits, and with a matrix of 8, as large ones have.
fn priors() -> Vec<Vec<u8>> {
    let whole = small().to_bytes().unwrap();
    let (_, header) = SafeTensors::read_metadata(&whole).unwrap();
    let header = header.metadata().clone();
    let tensors = SafeTensors::deserialize(&whole).unwrap();
    let largest = tensors.iter().filter(|(_, view)| view.shape().len() == 2);
    let (large, of) = largest.max_by_key(|(_, view)| view.data().len()).unwrap();
    let (shape, name) = (of.shape().to_vec(), format!("{large}.scale"));
    let (steps, scales) = (vec![7; shape[0] * shape[1]], vec![0; 4 * shape[0]]);
    let view = |dtype, shape: &[usize], data| TensorView::new(dtype, shape.to_vec(), data).unwrap();
    let mut views: Vec<(&str, TensorView<'_>)> = tensors.iter().collect();
    for (name, tensor) in &mut views {
        if *name == large {
            *tensor = view(Dtype::I8, &shape, &steps);
        }
    }
    views.push((&name, view(Dtype::F32, &shape[..1], &scales)));
    let bytes = safetensors::serialize(views, header).unwrap();
    vec![whole, bytes]
}

fn frame() -> RangeImage {
    let mut frame = RangeImage::empty(3, 4);
    for pixel in 2..10 {
        frame.range[pixel] = pixel as f32 * 0.7;
        frame.returns[pixel] = 0.5;
        frame.valid[pixel] = true;
    }
    frame
}

fn measurements() -> Vec<Vec<u8>> {
    let readings = |pattern_set: usize, missing: Vec<u32>| {
        let measurement = Measurement {
            sequence: 3,
            stamp_ns: 70_000_000_000,
            pattern_set,
            gain: 0.5,
            missing,
            y: vec![0.25; [10, 6][pattern_set]],
            pose: Some(Pose {
                position: [1.0, 2.0, 3.0],
                rotation: [0.0, 0.0, 0.0, 1.0],
            }),
        };
        SENSOR.measurement_message(&measurement)
    };
    let counts: Vec<u32> = (0..30).map(|t| t % 7).collect();
    let counted = v1::MeasurementFrame {
        sensor_id: "front".to_owned(),
        data: Some(v1::measurement_frame::Data::Histograms(v1::Histograms {
            counts: wire::pack_u32s(&counts),
            complement: wire::pack_u32s(&counts),
        })),
        ..Default::default()
    };
    let all = [readings(0, vec![]), readings(1, vec![0, 5]), counted];
    all.iter().map(Message::encode_to_vec).collect()
}

fn depths() -> Vec<Vec<u8>> {
    let depth = v1::DepthFrame {
        sensor_id: "front".to_owned(),
        sequence: 9,
        stamp_ns: 1 << 60,
        frame: Some(wire::range_frame_message(&frame())),
        recovery: Some(v1::RecoveryReport {
            iterations: 3,
            cost: 1.5,
            code: wire::pack_f32s([0.5; 8]),
            ..Default::default()
        }),
        latency: Some(v1::LatencyReport {
            recover_ns: 4_000_000,
            ..Default::default()
        }),
        range_sigma_m: wire::pack_f32s([0.1; 12]),
        ..Default::default()
    };
    let truth = truth_message("front", 9, 7, &frame());
    vec![depth.encode_to_vec(), truth.encode_to_vec()]
}

fn descriptions() -> Vec<Vec<u8>> {
    let mut description = (*SENSOR.description).clone();
    description.patterns = vec![
        Pattern::Hadamard(Hadamard::random(12, 5, 1).unwrap()),
        Pattern::Dense(Dense::gaussian(4, 12, 1).unwrap()),
        Pattern::Mask(Mask::random(12, 4, 1).unwrap()),
        Pattern::Blocks(Blocks::new(3, 4, 1).unwrap()),
        Pattern::Fourier(Fourier::random(3, 4, 6, 1).unwrap()),
        Pattern::Fourier(Fourier::random(3, 4, 3, 2).unwrap()),
    ];
    let every = Sensor {
        description: Arc::new(description),
        ..SENSOR.clone()
    };
    let mut one = SENSOR.to_message();
    one.histogram = None;
    one.pattern_sets.truncate(1);
    [SENSOR.to_message(), every.to_message(), one]
        .iter()
        .map(Message::encode_to_vec)
        .collect()
}

/// One as it is written here, and compressed ones of others.
fn logs() -> Vec<Vec<u8>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let durability = Durability {
        flush_ns: 0,
        sync: false,
    };
    let mut log = Writer::durable(&path, Monotonic::default(), durability).unwrap();
    for seconds in 0..4 {
        let stamp = prost_types::Timestamp { seconds, nanos: 5 };
        log.write("/time", seconds as u64, &stamp).unwrap();
    }
    log.finish().unwrap();
    let mut all = vec![std::fs::read(&path).unwrap()];
    for compression in [None, Some(Compression::Zstd), Some(Compression::Lz4)] {
        all.push(foreign(compression));
    }
    all
}

fn foreign(compression: Option<Compression>) -> Vec<u8> {
    let mut bytes = Cursor::new(vec![]);
    let options = mcap::WriteOptions::new().compression(compression);
    let mut log = options.chunk_size(Some(64)).create(&mut bytes).unwrap();
    let schema = log.add_schema("text", "json", b"{}").unwrap();
    let said = BTreeMap::from([("said".to_owned(), "here".to_owned())]);
    let channel = log.add_channel(schema, "/text", "json", &said).unwrap();
    for sequence in 0..6u32 {
        let header = mcap::records::MessageHeader {
            channel_id: channel,
            sequence,
            log_time: sequence.into(),
            publish_time: 0,
        };
        let text = [b'a'; 30];
        log.write_to_known_channel(&header, &text).unwrap();
    }
    log.attach(&mcap::Attachment {
        log_time: 1,
        create_time: 2,
        name: "note".to_owned(),
        media_type: "text/plain".to_owned(),
        data: b"attached"[..].into(),
    })
    .unwrap();
    log.write_metadata(&mcap::records::Metadata {
        name: "who".to_owned(),
        metadata: said,
    })
    .unwrap();
    log.finish().unwrap();
    drop(log);
    bytes.into_inner()
}

fn imports() -> Vec<Vec<u8>> {
    let (mut ros1, mut ros2) = (vec![], vec![]);
    [7u32, 1, 2, 3].iter().for_each(|v| ros1.put_u32_le(*v));
    ros1.put_slice(b"cam");
    [2u32, 3, 5].iter().for_each(|v| ros1.put_u32_le(*v));
    ros1.put_slice(b"16UC1");
    ros1.put_u8(0);
    [6u32, 12].iter().for_each(|v| ros1.put_u32_le(*v));
    (1..=6u16).for_each(|v| ros1.put_u16_le(v * 900));
    ros2.put_slice(&[0, 1, 0, 0]);
    [1u32, 2, 4].iter().for_each(|v| ros2.put_u32_le(*v));
    ros2.put_slice(b"cam\0");
    [2u32, 3, 6].iter().for_each(|v| ros2.put_u32_le(*v));
    ros2.put_slice(b"16UC1\0\0\0");
    [6u32, 12].iter().for_each(|v| ros2.put_u32_le(*v));
    (1..=6u16).for_each(|v| ros2.put_u16_le(v * 900));
    let view = View::new(&SENSOR.geometry, (3, 4), "front");
    let counts = view.depth_image(&frame(), 7, DepthEncoding::Millimetres);
    let metres = view.depth_image(&frame(), 7, DepthEncoding::Metres);
    let cloud = view.points(&frame(), 7);
    let kinds = [
        (0, ros1),
        (1, ros2),
        (2, counts.encode_to_vec()),
        (2, metres.encode_to_vec()),
        (3, cloud.encode_to_vec()),
    ];
    kinds
        .map(|(kind, data)| [&[kind][..], &data].concat())
        .into()
}

fn configs() -> Vec<Vec<u8>> {
    let settings = relucent::recover::Settings::default();
    let part = |name: &str, text: String| {
        let nested = text.replace("\n[", &format!("\n[{name}."));
        format!("[{name}]\n{nested}\n")
    };
    let whole = [
        part(
            "pipeline",
            toml::to_string(&relucent::pipeline::Options::default()).unwrap(),
        ),
        part(
            "log",
            toml::to_string(&relucent::pipeline::LogOptions::default()).unwrap(),
        ),
        part("recover", toml::to_string(&settings).unwrap()),
    ];
    vec![whole.concat().into_bytes(), whole[1].clone().into_bytes()]
}

fn datasets() -> Vec<Vec<u8>> {
    let import = "log = \"a.mcap\"\ntopic = \"/d\"\nmax_range_m = 10.0\nreturns = { constant = 0.5 }\n\
                  field = { azimuth = [-60.0, 60.0], elevation = [-20.0, 20.0] }\n";
    ["tests/data/vlp32.toml", "tests/data/realsense.toml"]
        .iter()
        .map(|path| std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap())
        .chain([import.into()])
        .collect()
}

fn png(bits: u8) -> Vec<u8> {
    let mut bytes = vec![];
    let mut encoder = png::Encoder::new(&mut bytes, 5, 4);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(match bits {
        16 => png::BitDepth::Sixteen,
        _ => png::BitDepth::Eight,
    });
    let pixels: Vec<u8> = (0..5 * 4 * usize::from(bits) / 8)
        .map(|i| i as u8)
        .collect();
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&pixels).unwrap();
    writer.finish().unwrap();
    bytes
}

fn histograms() -> Vec<Vec<u8>> {
    let words = |complement: u32| {
        let head = [
            6,
            2f32.to_bits(),
            0f32.to_bits(),
            1,
            6,
            0,
            1,
            2 | complement,
        ];
        let counts = (0..30 * (1 + complement / 256)).map(|t| t % 7);
        let words: Vec<u32> = head.into_iter().chain(counts).collect();
        wire::pack_u32s(&words).to_vec()
    };
    vec![words(0), words(256)]
}
