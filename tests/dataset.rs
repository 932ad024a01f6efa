//! Recorded sequences: files that the tests write, and the shared recordings where they are there.

#![allow(clippy::unwrap_used, reason = "a test may fail")]

use relucent::dataset::{Augmentation, DatasetError, MAX_FRAMES, Resampler, Sequence};
use relucent::frame::RangeImage;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const SHARED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../shared/data");
const DESCRIPTIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");

fn write_png(path: &Path, cols: u32, bits: png::BitDepth, bytes: &[u8]) {
    let rows = bytes.len() as u32 / cols / (bits as u32 / 8);
    let mut encoder = png::Encoder::new(fs::File::create(path).unwrap(), cols, rows);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(bits);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(bytes).unwrap();
}

fn write_counts(path: &Path, cols: u32, counts: &[u16]) {
    let bytes: Vec<u8> = counts.iter().flat_map(|c| c.to_be_bytes()).collect();
    write_png(path, cols, png::BitDepth::Sixteen, &bytes);
}

/// Two frames of 2 × 3 pixels, with everything a range sequence may have.
struct Recording(TempDir);

const TOML: &str = r#"
frames = "range"
kind = "range"
scale_m = 0.01
max_range_m = 6.0
geometry = { angles = { elevation = "elevation.txt", azimuth = "azimuth.txt" } }
returns = { intensity = "intensity" }
timing = { stamps = "stamps.txt" }
train = [0, 1]
evaluate = [1, 2]
origin = "the test"
licence = "none"
"#;

impl Recording {
    fn new() -> Self {
        let it = Self(tempfile::tempdir().unwrap());
        fs::create_dir(it.path("range")).unwrap();
        fs::create_dir(it.path("intensity")).unwrap();
        write_counts(&it.path("range/a.png"), 3, &[0, 100, 200, 300, 400, 500]);
        write_counts(&it.path("range/b.png"), 3, &[600, 601, 1, 0, 0, 65535]);
        for name in ["a", "b"] {
            let path = it.path(&format!("intensity/{name}.png"));
            write_png(&path, 3, png::BitDepth::Eight, &[9, 51, 255, 0, 102, 153]);
        }
        it.write("elevation.txt", "1.0\n0.0\n");
        it.write("azimuth.txt", "nan\n0.5\n-0.5\n");
        it.write("stamps.txt", "1000\n3500\n");
        it.write("sequence.toml", TOML);
        it
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    fn replace(&self, old: &str, new: &str) {
        assert!(TOML.contains(old));
        self.write("sequence.toml", &TOML.replace(old, new));
    }

    fn open(&self) -> Result<Sequence, DatasetError> {
        Sequence::open(&self.path("sequence.toml"), None)
    }

    fn fault(&self) -> DatasetError {
        self.open().unwrap_err()
    }
}

#[test]
fn reads_ranges_returns_and_stamps() {
    let sequence = Recording::new();
    let sequence = sequence.open().unwrap();
    assert_eq!(
        (sequence.len(), sequence.train(), sequence.evaluate()),
        (2, 0..1, 1..2)
    );
    let frame = sequence.frame(0).unwrap();
    assert_eq!((frame.index, frame.stamp_ns), (0, 1000));
    let (yes, no) = (true, false);
    assert_eq!(frame.image.valid, [no, yes, yes, no, yes, yes]); // column 0 has no angle
    assert_eq!(frame.image.range, [0.0, 1.0, 2.0, 0.0, 4.0, 5.0]);
    assert_eq!(frame.image.returns, [0.0, 0.2, 1.0, 0.0, 0.4, 0.6]);
    let frame = sequence.frame(1).unwrap();
    assert_eq!(sequence.stamp_ns(1), 3500);
    assert_eq!(frame.image.valid, [no, no, yes, no, no, no]); // 6.01 m and 655.35 m are beyond 6 m
}

#[test]
fn depth_along_the_axis_becomes_range_along_the_ray() {
    let it = Recording::new();
    it.replace(
        r#""range"
kind = "range""#,
        r#""range"
kind = "depth""#,
    );
    assert!(
        it.fault().to_string().contains("intrinsics"),
        "depth needs intrinsics"
    );
    let toml = TOML
        .replace("kind = \"range\"", "kind = \"depth\"")
        .replace(
            r#"{ angles = { elevation = "elevation.txt", azimuth = "azimuth.txt" } }"#,
            "{ intrinsics = { fx = 2.0, fy = 4.0, cx = 1.0, cy = 0.0 } }",
        )
        .replace(r#"{ intensity = "intensity" }"#, "{ constant = 0.3 }")
        .replace(r#"{ stamps = "stamps.txt" }"#, "{ rate_hz = 8.0 }");
    it.write("sequence.toml", &toml);
    let sequence = it.open().unwrap();
    assert_eq!(sequence.stamp_ns(1), 125_000_000);
    let image = sequence.frame(0).unwrap().image;
    assert!((image.range[1] - 1.0).abs() < 1e-6); // on the axis
    assert!((image.range[2] - 2.0 * 1.25f32.sqrt()).abs() < 1e-6);
    assert!((image.range[3] - 3.0 * (1.0f32 + 0.25 + 0.0625).sqrt()).abs() < 1e-6);
    assert_eq!(image.returns, [0.0, 0.3, 0.3, 0.3, 0.3, 0.3]);
}

#[test]
fn paths_may_be_relative_to_a_root() {
    let it = Recording::new();
    let elsewhere = tempfile::tempdir().unwrap();
    let toml = elsewhere.path().join("sequence.toml");
    fs::write(&toml, TOML).unwrap();
    assert!(matches!(
        Sequence::open(&toml, None),
        Err(DatasetError::Read { .. })
    ));
    assert_eq!(Sequence::open(&toml, Some(it.0.path())).unwrap().len(), 2);
}

#[test]
fn names_what_is_wrong_with_an_image() {
    let it = Recording::new();
    let sequence = it.open().unwrap();
    let fault = |index| sequence.frame(index).unwrap_err();
    write_png(&it.path("range/b.png"), 3, png::BitDepth::Eight, &[0; 6]);
    assert!(
        matches!(fault(1), DatasetError::Depth { expected: 16, .. }),
        "{}",
        fault(1)
    );
    write_counts(&it.path("range/b.png"), 2, &[0; 6]);
    assert!(
        matches!(
            fault(1),
            DatasetError::Size {
                rows: 2,
                cols: 3,
                got_rows: 3,
                got_cols: 2,
                ..
            }
        ),
        "{}",
        fault(1)
    );
    it.write("range/b.png", "no image");
    assert!(matches!(fault(1), DatasetError::Decode { .. }));
    fs::remove_file(it.path("range/b.png")).unwrap();
    assert!(matches!(fault(1), DatasetError::Read { .. }));
    write_counts(&it.path("intensity/a.png"), 3, &[0; 6]);
    assert!(matches!(fault(0), DatasetError::Depth { expected: 8, .. }));
    assert!(matches!(fault(2), DatasetError::Index { len: 2, index: 2 }));
    // a header that promises more than may be loaded, without the pixels
    let mut header = Vec::new();
    let mut encoder = png::Encoder::new(&mut header, 1 << 14, 1 << 12);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::Sixteen);
    encoder
        .write_header()
        .unwrap()
        .write_chunk(png::chunk::IDAT, &[])
        .unwrap();
    fs::write(it.path("range/a.png"), &header).unwrap();
    assert!(matches!(
        fault(0),
        DatasetError::Limit {
            what: "pixels",
            got: 67108864,
            ..
        }
    ));
}

#[test]
fn names_what_does_not_match_in_number() {
    let it = Recording::new();
    it.write("stamps.txt", "1000\n");
    assert!(
        matches!(
            it.fault(),
            DatasetError::Count {
                what: "stamps",
                expected: 2,
                got: 1,
                ..
            }
        ),
        "{}",
        it.fault()
    );
    let it = Recording::new();
    it.write("azimuth.txt", "1.0\n0.0\n");
    assert!(matches!(
        it.fault(),
        DatasetError::Count {
            what: "angles",
            expected: 3,
            got: 2,
            ..
        }
    ));
    let it = Recording::new();
    it.write("azimuth.txt", "nan\n0.0\nnan\n");
    assert!(matches!(
        it.fault(),
        DatasetError::Count {
            expected: 2,
            got: 1,
            ..
        }
    ));
    let it = Recording::new();
    fs::remove_file(it.path("intensity/a.png")).unwrap();
    assert!(matches!(
        it.fault(),
        DatasetError::Count {
            what: "intensity images",
            ..
        }
    ));
    let it = Recording::new();
    fs::remove_dir_all(it.path("range")).unwrap();
    assert!(matches!(it.fault(), DatasetError::Read { .. }));
    fs::create_dir(it.path("range")).unwrap();
    assert!(matches!(
        it.fault(),
        DatasetError::Limit {
            limit: MAX_FRAMES,
            got: 0,
            ..
        }
    ));
}

#[test]
fn names_what_makes_no_sense_in_a_text_file() {
    let it = Recording::new();
    it.write("stamps.txt", "3500\n3500\n");
    assert!(
        matches!(it.fault(), DatasetError::Line { line: 2, .. }),
        "{}",
        it.fault()
    );
    it.write("stamps.txt", "-1\n3500\n");
    assert!(matches!(it.fault(), DatasetError::Line { line: 1, .. }));
    let it = Recording::new();
    it.write("elevation.txt", "0.0\n1.0\n");
    assert!(
        matches!(it.fault(), DatasetError::Line { line: 2, .. }),
        "top first"
    );
    it.write("elevation.txt", "100.0\n1.0\n");
    assert!(matches!(it.fault(), DatasetError::Line { line: 1, .. }));
    it.write("elevation.txt", &"0".repeat(1 << 23));
    assert!(matches!(
        it.fault(),
        DatasetError::Limit { what: "bytes", .. }
    ));
}

#[test]
fn names_what_makes_no_sense_in_the_description() {
    let it = Recording::new();
    let value = |old, new| {
        it.replace(old, new);
        match it.fault() {
            DatasetError::Value { key, .. } => key,
            other => panic!("{other}"),
        }
    };
    assert_eq!(value("scale_m = 0.01", "scale_m = 0.0"), "scale_m");
    assert_eq!(
        value("max_range_m = 6.0", "max_range_m = nan"),
        "max_range_m"
    );
    assert_eq!(value("train = [0, 1]", "train = [1, 1]"), "train");
    assert_eq!(value("evaluate = [1, 2]", "evaluate = [1, 3]"), "evaluate");
    assert_eq!(
        value(r#"{ stamps = "stamps.txt" }"#, "{ rate_hz = -1.0 }"),
        "rate_hz"
    );
    assert_eq!(
        value(r#"{ intensity = "intensity" }"#, "{ constant = 0.0 }"),
        "constant"
    );
    let slope = "{ slope = { albedo = 0.5, reach = 0 } }";
    assert_eq!(value(r#"{ intensity = "intensity" }"#, slope), "reach");
    let angles = r#"{ angles = { elevation = "elevation.txt", azimuth = "azimuth.txt" } }"#;
    let camera = "{ intrinsics = { fx = 2.0, fy = 2.0, cx = 3.0, cy = 0.0 } }";
    assert_eq!(value(angles, camera), "cx");
    for (old, new) in [
        ("licence", "license"),
        ("elevation = ", "tilt = "),
        (
            "{ stamps = \"stamps.txt\" }",
            "{ stamps = \"stamps.txt\", rate_hz = 1.0 }",
        ),
    ] {
        it.replace(old, new);
        assert!(
            matches!(it.fault(), DatasetError::Description { .. }),
            "{new}"
        );
    }
}

/// Opens one of the shared recordings, or says loudly that it is not there.
fn shared(name: &str) -> Option<Sequence> {
    let root = Path::new(SHARED).join(name);
    if !root.is_dir() {
        eprintln!("NOT TESTED: the recording {name} is not in {SHARED}");
        return None;
    }
    let toml = Path::new(DESCRIPTIONS).join(format!("{name}.toml"));
    Some(Sequence::open(&toml, Some(&root)).unwrap())
}

fn share_valid(image: &RangeImage) -> f64 {
    let valid = image.valid.iter().filter(|&&v| v).count();
    valid as f64 / image.pixels() as f64
}

#[test]
fn the_car_recording_is_as_it_is_described() {
    let Some(sequence) = shared("vlp32") else {
        return;
    };
    assert_eq!(
        (sequence.len(), sequence.train(), sequence.evaluate()),
        (250, 0..200, 200..250)
    );
    assert_eq!(sequence.geometry().size(), (32, 240));
    let resampler = Resampler::new(sequence.geometry(), 64, 64, None).unwrap();
    let mut target = RangeImage::default();
    for index in 0..250 {
        let image = sequence.frame(index).unwrap().image;
        assert!(image.range.iter().all(|&r| r <= 120.0));
        resampler.apply(&image, Augmentation::default(), &mut target);
        let share = share_valid(&target);
        assert!(share > 0.4, "frame {index}: {share}");
    }
}

/// Counting every return, however far: 63 % of pixels; 5, 50 and 95 % of ranges below 8, 29 and 130 m.
#[test]
fn the_car_recording_has_the_ranges_that_it_had() {
    let Some(limited) = shared("vlp32") else {
        return;
    };
    let mut description = limited.description().clone();
    description.max_range_m = 1000.0;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("unlimited.toml");
    fs::write(&path, toml::to_string(&description).unwrap()).unwrap();
    let sequence = Sequence::open(&path, Some(&Path::new(SHARED).join("vlp32"))).unwrap();
    let (mut ranges, mut pixels) = (Vec::new(), 0);
    for index in 0..250 {
        let image = sequence.frame(index).unwrap().image;
        pixels += image.pixels();
        ranges.extend(
            (0..image.pixels())
                .filter(|&i| image.valid[i])
                .map(|i| image.range[i]),
        );
    }
    let share = ranges.len() as f64 / pixels as f64;
    assert!(
        (0.62..0.69).contains(&share),
        "{share} of all pixels return"
    );
    ranges.sort_by(f32::total_cmp);
    let percentile = |p: usize| ranges[p * ranges.len() / 100];
    for (p, expected, within) in [(5, 8.3, 0.2), (50, 29.0, 1.0), (95, 130.0, 2.0)] {
        let got = percentile(p);
        assert!((got - expected).abs() < within, "percentile {p}: {got} m");
    }
}

#[test]
fn the_office_recording_is_as_it_is_described() {
    let Some(sequence) = shared("realsense") else {
        return;
    };
    assert_eq!(
        (sequence.len(), sequence.train(), sequence.evaluate()),
        (200, 0..140, 140..200)
    );
    assert_eq!(sequence.geometry().size(), (480, 640));
    let resampler = Resampler::new(sequence.geometry(), 64, 64, None).unwrap();
    assert_eq!(resampler.covered(), 1.0);
    let mut target = RangeImage::default();
    for index in (0..200).step_by(50) {
        let frame = sequence.frame(index).unwrap();
        let image = &frame.image;
        assert!(image.range.iter().all(|&r| r <= 10.0));
        assert!(image.returns.iter().all(|&s| s <= 0.6));
        assert!((0..image.pixels()).all(|i| image.valid[i] == (image.returns[i] > 0.0)));
        resampler.apply(image, Augmentation::default(), &mut target);
        assert!(
            share_valid(&target) > 0.3,
            "frame {index}: {}",
            share_valid(&target)
        );
    }
}
