//! From bytes to messages, sizes first.

use super::v1;
use bytes::Bytes;
use prost::encoding::{DecodeContext, WireType, decode_key, skip_field};
use prost::{DecodeError, Message};

/// The longest description, bytes.
pub const MAX_DESCRIPTION: usize = 64 << 20;
/// The longest measurement, bytes.
pub const MAX_MEASUREMENT: usize = 16 << 20;
/// The longest depth or truth frame, bytes.
pub const MAX_FRAME: usize = 64 << 20;
/// The most pattern sets of a sensor.
pub const MAX_PATTERN_SETS: usize = 256;

/// Why a message cannot be used.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum WireError {
    /// longer than any message of its kind
    #[error("expected a {message} of at most {limit} bytes, got {got}")]
    TooLong {
        /// kind of message
        message: &'static str,
        /// its greatest length
        limit: usize,
        /// its length
        got: usize,
    },
    /// not the protobuf expected
    #[error("expected a {message}, found bytes that are none")]
    Decode {
        /// kind of message
        message: &'static str,
        /// why
        source: DecodeError,
    },
    /// more of something than any message has
    #[error("expected at most {limit} {what}, got {got}")]
    Count {
        /// what is counted
        what: &'static str,
        /// the most there may be
        limit: usize,
        /// how many there are
        got: usize,
    },
    /// a part that must be there
    #[error("expected {field}, found none")]
    Missing {
        /// the field
        field: &'static str,
    },
    /// an array of another length
    #[error("expected {field} of {expected} values of 4 bytes, got {got} bytes")]
    Length {
        /// the field
        field: &'static str,
        /// values expected
        expected: usize,
        /// bytes present
        got: usize,
    },
    /// a value that is no number
    #[error("expected finite values in {field}, got {got} at position {index}")]
    Value {
        /// the field
        field: &'static str,
        /// position of the value
        index: usize,
        /// the value
        got: f32,
    },
    /// a name that is none
    #[error("expected a sensor id of 1 to {limit} bytes without control characters, got `{got}`")]
    SensorId {
        /// its greatest length, bytes
        limit: usize,
        /// the name, cut
        got: String,
    },
}

/// Decodes a sensor's description; what is in it is checked where it is turned into a sensor.
///
/// # Errors
/// Where it is too long, holds too many pattern sets, or is no description.
pub fn decode_description(bytes: Bytes) -> Result<v1::SensorDescription, WireError> {
    const MESSAGE: &str = "sensor description";
    const PATTERN_SETS: u32 = 10;
    check_length(MESSAGE, &bytes, MAX_DESCRIPTION)?;
    // a set may take two bytes on the wire and a hundred in memory
    let sets = count(&bytes, PATTERN_SETS).map_err(|source| WireError::Decode {
        message: MESSAGE,
        source,
    })?;
    if sets > MAX_PATTERN_SETS {
        return Err(WireError::Count {
            what: "pattern sets",
            limit: MAX_PATTERN_SETS,
            got: sets,
        });
    }
    decode(MESSAGE, bytes)
}

/// Decodes a measurement; what is in it is checked against its sensor.
///
/// # Errors
/// Where it is too long or no measurement.
pub fn decode_measurement(bytes: Bytes) -> Result<v1::MeasurementFrame, WireError> {
    const MESSAGE: &str = "measurement frame";
    check_length(MESSAGE, &bytes, MAX_MEASUREMENT)?;
    decode(MESSAGE, bytes)
}

/// Decodes a depth or truth frame.
///
/// # Errors
/// Where it is too long or no such frame.
pub fn decode_frame<M: Message + Default>(
    message: &'static str,
    bytes: Bytes,
) -> Result<M, WireError> {
    check_length(message, &bytes, MAX_FRAME)?;
    decode(message, bytes)
}

fn check_length(message: &'static str, bytes: &[u8], limit: usize) -> Result<(), WireError> {
    if bytes.len() <= limit {
        return Ok(());
    }
    Err(WireError::TooLong {
        message,
        limit,
        got: bytes.len(),
    })
}

fn decode<M: Message + Default>(message: &'static str, bytes: Bytes) -> Result<M, WireError> {
    M::decode(bytes).map_err(|source| WireError::Decode { message, source })
}

/// How often a field stands in a message, without decoding it.
fn count(mut bytes: &[u8], field: u32) -> Result<usize, DecodeError> {
    let mut found = 0;
    while !bytes.is_empty() {
        let (tag, wire_type): (u32, WireType) = decode_key(&mut bytes)?;
        found += usize::from(tag == field);
        skip_field(wire_type, tag, &mut bytes, DecodeContext::default())?;
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let bytes = Bytes::from(bytes);
            let _ = decode_description(bytes.clone());
            let _ = decode_measurement(bytes.clone());
            let _ = decode_frame::<v1::DepthFrame>("depth frame", bytes);
        }
    }

    #[test]
    fn limits_come_first() {
        let sets = Bytes::from([0x52, 0x00].repeat(MAX_PATTERN_SETS + 1)); // field 10, empty
        assert!(matches!(
            decode_description(sets),
            Err(WireError::Count { got: 257, .. })
        ));
        let long = Bytes::from(vec![0; MAX_MEASUREMENT + 1]);
        assert!(matches!(
            decode_measurement(long),
            Err(WireError::TooLong { .. })
        ));
        let cut = v1::MeasurementFrame {
            sensor_id: "a".repeat(40),
            ..Default::default()
        }
        .encode_to_vec();
        let error = decode_measurement(Bytes::from(cut[..20].to_vec())).unwrap_err();
        assert!(error.to_string().contains("measurement frame"), "{error}");
    }
}
