//! Floor 1: messages on the wire, and the words they stand for.
//!
//! `proto/` defines the messages; [`v1`] and [`foxglove`] are what the build makes of them. Nothing that arrives is
//! trusted: sizes are checked before anything is allocated, and every error says what was expected and what was found.

mod arrays;
#[cfg(feature = "serve")]
mod codec;
mod decode;
mod words;

pub use arrays::{f32s, pack_f32s, pack_u32s, u32s};
#[cfg(feature = "serve")]
pub(crate) use codec::Checked;
pub(crate) use decode::check_pattern_sets;
pub use decode::{
    MAX_DESCRIPTION, MAX_FRAME, MAX_MEASUREMENT, MAX_PATTERN_SETS, WireError, decode_description,
    decode_frame, decode_measurement,
};
pub use words::{
    check_sensor_id, geometry, geometry_message, pose, pose_message, range_frame,
    range_frame_message,
};

use prost::Message;
use prost_types::FileDescriptorSet;
use std::collections::HashSet;

/// The messages of `proto/relucent/v1`.
#[allow(missing_docs, reason = "generated; oneofs have no comments")]
#[allow(clippy::large_enum_variant, reason = "generated")]
pub mod v1 {
    include!(concat!(env!("OUT_DIR"), "/relucent.v1.rs"));
}

/// The wire contract of the schemas that Foxglove and Rerun know.
#[allow(missing_docs, reason = "their own documentation says it")]
pub mod foxglove {
    include!(concat!(env!("OUT_DIR"), "/foxglove.rs"));
}

/// Descriptors of every message, a serialised `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The files that define a message, `package.Name`, and all they import, a serialised `FileDescriptorSet` as logs embed
/// it; empty where there is no such message.
pub fn schema(message: &str) -> Vec<u8> {
    let all = FileDescriptorSet::decode(DESCRIPTORS).unwrap_or_default();
    let defines = |file: &prost_types::FileDescriptorProto| {
        let named = |m: &prost_types::DescriptorProto| {
            message
                .strip_prefix(file.package())
                .and_then(|rest| rest.strip_prefix('.'))
                == Some(m.name())
        };
        file.message_type.iter().any(named)
    };
    let mut wanted: HashSet<&str> = HashSet::new();
    // files stand after what they import
    for file in all.file.iter().rev() {
        if defines(file) || wanted.contains(file.name()) {
            wanted.insert(file.name());
            wanted.extend(file.dependency.iter().map(String::as_str));
        }
    }
    let file = all
        .file
        .iter()
        .filter(|file| wanted.contains(file.name()))
        .cloned()
        .collect();
    FileDescriptorSet { file }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_holds_what_its_message_needs() {
        let files = |message| -> Vec<String> {
            let set = FileDescriptorSet::decode(schema(message).as_slice()).unwrap();
            set.file.iter().map(|f| f.name().to_owned()).collect()
        };
        assert_eq!(
            files("relucent.v1.DepthFrame"),
            ["relucent/v1/measurement.proto", "relucent/v1/depth.proto"]
        );
        assert_eq!(
            files("foxglove.RawImage"),
            ["google/protobuf/timestamp.proto", "foxglove/RawImage.proto"]
        );
        assert!(files("relucent.v1.Nothing").is_empty());
    }
}
