//! Everything that takes bytes from outside: a function each, which must return whatever the bytes. The tests beside it and the
//! fuzz targets of `fuzz/` run the same functions.

use bytes::Bytes;
use relucent::dataset::{self, Intrinsics, SequenceDescription};
use relucent::frame::{Geometry, Knots};
use relucent::journal::{Channel, Entry, JournalError, Reader, salvage};
use relucent::pipeline::{
    Histograms, ImportDescription, LogOptions, Options, Sensor, depth_image, point_cloud,
};
use relucent::prior::Prior;
use relucent::recover::Settings;
use relucent::sensing::{Binning, Data, Hadamard, Pattern, SensorDescription};
use relucent::wire::{self, v1};
use serde::Deserialize;
use std::error::Error;
use std::io::Cursor;
use std::path::Path;
use std::sync::{Arc, LazyLock};

/// What became of bytes: why they were refused, with all causes.
pub(crate) type Outcome = Result<(), String>;

/// A decoder by name.
pub(crate) type Decoder = (&'static str, fn(&[u8]) -> Outcome);

/// All of them.
pub(crate) const ALL: [Decoder; 10] = [
    ("measurement", measurement),
    ("depth", depth),
    ("description", description),
    ("log", log),
    ("import", import),
    ("prior", prior),
    ("config", config),
    ("dataset", dataset),
    ("image", image),
    ("histograms", histograms),
];

fn refused(error: &dyn Error) -> String {
    let (mut told, mut cause) = (error.to_string(), error.source());
    while let Some(error) = cause {
        told = format!("{told}: {error}");
        cause = error.source();
    }
    told
}

/// A small sensor that sends readings or histograms.
pub(crate) static SENSOR: LazyLock<Sensor> = LazyLock::new(|| {
    let description = SensorDescription {
        rows: 3,
        cols: 4,
        knots: Knots::even(2, 10.0).unwrap(),
        patterns: vec![
            Pattern::Hadamard(Hadamard::random(12, 5, 1).unwrap()),
            Pattern::Hadamard(Hadamard::random(12, 3, 2).unwrap()),
        ],
        noise: vec![1.0, 0.1, 0.1, 1.0],
        s_min: 0.01,
        range_power: 2,
        data: Data::Linear,
    };
    let binning = Binning {
        bins: 6,
        bin_m: 2.0,
        first_bin_range_m: 0.0,
        range_power: 2,
        gate: 1..6,
        background: 0..1,
    };
    Sensor {
        histograms: Some(Histograms::new(binning, &description.knots, 0.5).unwrap()),
        ..Sensor::new(
            "front",
            Geometry::centred(60.0, 45.0),
            Arc::new(description),
        )
    }
});

/// A measurement of a known sensor.
pub(crate) fn measurement(bytes: &[u8]) -> Outcome {
    let message = wire::decode_measurement(Bytes::copy_from_slice(bytes));
    let message = message.map_err(|e| refused(&e))?;
    let measurement = SENSOR.measurement(&message).map_err(|e| refused(&e))?;
    let channels = SENSOR.description.channels();
    assert!(measurement.y.len() == 5 * channels || measurement.y.len() == 3 * channels);
    Ok(())
}

/// A depth frame, and a truth frame.
pub(crate) fn depth(bytes: &[u8]) -> Outcome {
    let bytes = Bytes::copy_from_slice(bytes);
    if let Ok(truth) = wire::decode_frame::<v1::TruthFrame>("truth frame", bytes.clone()) {
        let _ = truth.frame.as_ref().map(wire::range_frame);
    }
    let message = wire::decode_frame::<v1::DepthFrame>("depth frame", bytes);
    let message = message.map_err(|e| refused(&e))?;
    let image = message.frame.as_ref().map(wire::range_frame).transpose();
    if let Some(image) = image.map_err(|e| refused(&e))? {
        assert_eq!(image.range.len(), image.rows * image.cols);
    }
    Ok(())
}

/// A sensor that describes itself; what is taken says the same of itself.
pub(crate) fn description(bytes: &[u8]) -> Outcome {
    let message = wire::decode_description(Bytes::copy_from_slice(bytes));
    let message = message.map_err(|e| refused(&e))?;
    let sensor = Sensor::from_message(&message).map_err(|e| refused(&e))?;
    let again = Sensor::from_message(&sensor.to_message()).unwrap();
    let (a, b) = (&again.description, &sensor.description);
    assert_eq!((&again.id, again.geometry), (&sensor.id, sensor.geometry));
    assert_eq!((&a.noise, &a.knots), (&b.noise, &b.knots));
    assert_eq!(again.histograms, sensor.histograms);
    // rows of explicit matrices are brought to unit norm once more, which may round
    if !b.patterns.iter().any(|p| matches!(p, Pattern::Dense(_))) {
        assert_eq!(again, sensor);
    }
    Ok(())
}

/// A log, read and repaired: whatever a reader gets out of it is in the repaired one.
pub(crate) fn log(bytes: &[u8]) -> Outcome {
    let name = Path::new("log");
    let read = Reader::over(bytes, bytes.len() as u64, name).map_err(|e| refused(&e));
    let (mut messages, mut end) = (0, Ok(()));
    for entry in read? {
        match entry {
            Ok(_) => messages += 1,
            Err(error) => end = Err(error),
        }
    }
    let saved = salvage((name, Cursor::new(bytes)), (name, Cursor::new(vec![])));
    let (told, saved) = saved.map_err(|e| refused(&e))?;
    let saved = saved.into_inner();
    let again = Reader::over(saved.as_slice(), saved.len() as u64, name).unwrap();
    let kept = again.inspect(|entry| assert!(entry.is_ok())).count() as u64;
    assert_eq!(kept, told.messages);
    // a reader takes messages before it knows that their chunk's checksum is wrong
    let damaged = matches!(end, Err(JournalError::Damaged { .. }))
        || told.losses.iter().any(|loss| loss.reason.contains("CRC"));
    assert!(
        damaged || kept >= messages,
        "{kept} kept of {messages}: {told:?}"
    );
    end.map_err(|e| refused(&e))
}

/// A message of somebody else's log: the first byte says which kind.
pub(crate) fn import(bytes: &[u8]) -> Outcome {
    let (kind, data) = bytes.split_first().unwrap_or((&0, &[]));
    let (schema, encoding) = match kind % 4 {
        0 => ("sensor_msgs/Image", "ros1"),
        1 => ("sensor_msgs/msg/Image", "cdr"),
        2 => ("foxglove.RawImage", "protobuf"),
        _ => ("foxglove.PointCloud", "protobuf"),
    };
    let channel = Channel {
        topic: "/depth".to_owned(),
        schema: schema.to_owned(),
        encoding: encoding.to_owned(),
    };
    let entry = Entry {
        channel: Arc::new(channel),
        log_time_ns: 0,
        data: Bytes::copy_from_slice(data),
    };
    let image = if kind % 4 == 3 {
        point_cloud(&entry, None, (8, 8), 100.0)
    } else {
        let (fx, fy, cx, cy) = (3.0, 3.0, 1.0, 1.0);
        depth_image(&entry, Intrinsics { fx, fy, cx, cy }, None, 100.0)
    };
    let image = image.map_err(|e| refused(&e))?;
    let mut valid = image.range.iter().zip(&image.valid).filter(|(_, v)| **v);
    assert!(valid.all(|(r, _)| *r > 0.0 && *r <= 100.0));
    Ok(())
}

/// A prior; what is taken is written and read again.
pub(crate) fn prior(bytes: &[u8]) -> Outcome {
    let prior = Prior::from_bytes(bytes).map_err(|e| refused(&e))?;
    let again = Prior::from_bytes(&prior.to_bytes().unwrap()).unwrap();
    assert_eq!((again.rows, again.cols), (prior.rows, prior.cols));
    Ok(())
}

/// As the command's configuration.
#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Config {
    recover: Settings,
    pipeline: Options,
    log: LogOptions,
}

/// A configuration.
pub(crate) fn config(bytes: &[u8]) -> Outcome {
    let text = std::str::from_utf8(bytes).map_err(|e| refused(&e))?;
    let config: Config = toml::from_str(text).map_err(|e| refused(&e))?;
    config.recover.check().map_err(|e| refused(&e))?;
    config.pipeline.check().map_err(|e| refused(&e))?;
    config.log.check().map_err(|e| refused(&e))
}

/// The description of a recorded sequence, and of a topic of somebody else's log.
pub(crate) fn dataset(bytes: &[u8]) -> Outcome {
    let text = std::str::from_utf8(bytes).map_err(|e| refused(&e))?;
    if let Ok(import) = ImportDescription::parse(text, Path::new("import.toml")) {
        assert!(import.max_range_m > 0.0);
    }
    let described = SequenceDescription::parse(text, Path::new("sequence.toml"));
    described.map(drop).map_err(|e| refused(&e))
}

/// A depth image of 16 bits, and an intensity of 8.
pub(crate) fn image(bytes: &[u8]) -> Outcome {
    let decode = |bits| dataset::grey_png(Cursor::new(bytes), Path::new("image.png"), bits);
    let _ = decode(8);
    let (rows, cols, pixels) = decode(16).map_err(|e| refused(&e))?;
    assert_eq!(pixels.len(), 2 * rows * cols);
    Ok(())
}

/// A binning and a frame's histograms: eight words, then counts.
pub(crate) fn histograms(bytes: &[u8]) -> Outcome {
    let words = bytes.chunks_exact(4).map(|w| [w[0], w[1], w[2], w[3]]);
    let words: Vec<u32> = words.map(u32::from_le_bytes).collect();
    let Some((head, counts)) = words.split_at_checked(8) else {
        return Err("expected eight words, got fewer".to_owned());
    };
    let at = |i: usize| head[i] as usize;
    let binning = Binning {
        bins: at(0),
        bin_m: f32::from_bits(head[1]),
        first_bin_range_m: f32::from_bits(head[2]),
        range_power: head[7] as u8,
        gate: at(3)..at(4),
        background: at(5)..at(6),
    };
    let description = &SENSOR.description;
    let worth = 0.5 + f32::from(head[7] as u8);
    let histograms = Histograms::new(binning, &description.knots, worth);
    let sensor = Sensor {
        histograms: Some(histograms.map_err(|e| refused(&e))?),
        ..SENSOR.clone()
    };
    let (counts, complement) = match head[7] & 256 {
        0 => (wire::pack_u32s(counts), Bytes::new()),
        _ => {
            let (plus, minus) = counts.split_at(counts.len() / 2);
            (wire::pack_u32s(plus), wire::pack_u32s(minus))
        }
    };
    let message = v1::MeasurementFrame {
        sensor_id: "front".to_owned(),
        data: Some(v1::measurement_frame::Data::Histograms(v1::Histograms {
            counts,
            complement,
        })),
        ..Default::default()
    };
    sensor
        .measurement(&message)
        .map(drop)
        .map_err(|e| refused(&e))
}
