//! Floor 2: logs. MCAP with protobuf schemas embedded, so that other tools read what relucent writes.
//!
//! Every sensor has its own topics under `/relucent/<sensor id>/`, see [`Topic`].

mod error;
mod frame;
mod read;
mod record;
mod repair;
mod view;
mod write;

pub use error::JournalError;
pub use read::{Channel, Entry, Reader};
pub use repair::{Loss, Repaired, repair, salvage};
pub use view::{DepthEncoding, View};
pub use write::{Durability, Writer};

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::Duration;

/// What says in a log that it is one of ours.
const PROFILE: &str = "relucent";

/// Brings to the disk which files a file's folder holds.
fn sync_folder(file: &Path) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| *folder != Path::new(""));
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// How often a lock is asked for again, and how long after, before it counts as somebody's.
const ASKED_AGAIN: usize = 20;
const ASKED_AGAIN_AFTER: Duration = Duration::from_millis(10);

/// Locks a file for this process alone; whether somebody else has. A device is anybody's, and where locks are more than a word
/// among those who ask, they would keep readers out: then none is taken. A process that is being started has whatever was open
/// in the one that starts it until it begins itself: a lock that is let go soon was nobody's.
fn is_in_use(file: &File) -> bool {
    let plain = file.metadata().is_ok_and(|found| found.is_file());
    let taken = || matches!(file.try_lock(), Err(TryLockError::WouldBlock));
    let still_taken = |_| {
        std::thread::sleep(ASKED_AGAIN_AFTER);
        taken()
    };
    cfg!(unix) && plain && taken() && (0..ASKED_AGAIN).all(still_taken)
}

/// What a sensor's topics hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// `relucent.v1.SensorDescription`, before anything else of the sensor
    Description,
    /// `relucent.v1.MeasurementFrame`
    Measurement,
    /// `relucent.v1.TruthFrame`
    Truth,
    /// `relucent.v1.DepthFrame`
    Depth,
    /// `foxglove.RawImage`: depth along the axis of a pinhole camera
    DepthImage,
    /// `foxglove.CameraCalibration` of that camera
    Calibration,
    /// `foxglove.PointCloud` in the sensor's frame
    Points,
}

impl Topic {
    const ALL: [Topic; 7] = [
        Topic::Description,
        Topic::Measurement,
        Topic::Truth,
        Topic::Depth,
        Topic::DepthImage,
        Topic::Calibration,
        Topic::Points,
    ];

    fn suffix(self) -> &'static str {
        match self {
            Topic::Description => "description",
            Topic::Measurement => "measurement",
            Topic::Truth => "truth",
            Topic::Depth => "depth",
            Topic::DepthImage => "depth_image",
            Topic::Calibration => "camera_calibration",
            Topic::Points => "points",
        }
    }

    /// The topic of a sensor.
    pub fn of(self, sensor_id: &str) -> String {
        format!("/relucent/{sensor_id}/{}", self.suffix())
    }

    /// What a topic's name says it holds, and of which sensor; `None` where it is not ours.
    pub fn parse(name: &str) -> Option<(Topic, &str)> {
        let (sensor_id, suffix) = name.strip_prefix("/relucent/")?.rsplit_once('/')?;
        let topic = Self::ALL.into_iter().find(|t| t.suffix() == suffix)?;
        Some((topic, sensor_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_read_back() {
        for topic in Topic::ALL {
            assert_eq!(Topic::parse(&topic.of("a/b")), Some((topic, "a/b")));
        }
        assert_eq!(Topic::parse("/tf"), None);
    }
}
