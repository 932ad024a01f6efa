//! From bytes to messages, sizes first.

use super::v1;
use bytes::Bytes;
use prost::encoding::{DecodeContext, WireType, decode_key, decode_varint, skip_field};
use prost::{DecodeError, Message};

/// The longest description, bytes.
pub const MAX_DESCRIPTION: usize = 64 << 20;
/// The longest measurement, bytes.
pub const MAX_MEASUREMENT: usize = 16 << 20;
/// The longest depth or truth frame, bytes.
pub const MAX_FRAME: usize = 64 << 20;
/// The most pattern sets of a sensor. A set may take two bytes on the wire and a hundred in memory.
pub const MAX_PATTERN_SETS: usize = 256;
/// Their field.
const PATTERN_SETS: u32 = 10;
/// The most sensors that a subscriber names, whatever a server's own limit.
#[cfg(feature = "serve")]
const MAX_NAMES: usize = 1024;

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
    check_length(MESSAGE, &bytes, MAX_DESCRIPTION)?;
    let sets = count(&bytes, PATTERN_SETS);
    check_pattern_sets(sets.map_err(|source| WireError::Decode {
        message: MESSAGE,
        source,
    })?)?;
    decode(MESSAGE, bytes)
}

/// Checks a request of `Recover` before it is decoded.
///
/// # Errors
/// Where its description holds too many pattern sets, or it is no request.
#[cfg(feature = "serve")]
pub(super) fn check_recover_request(bytes: &[u8]) -> Result<(), WireError> {
    const DESCRIPTION: u32 = 1;
    let mut sets = Ok(0); // of all descriptions: the last one holds those of all
    let counted = fields(bytes, |tag, content| {
        if let (DESCRIPTION, Ok(before)) = (tag, &sets) {
            sets = count(content, PATTERN_SETS).map(|sets| before + sets);
        }
    });
    let sets = counted.and(sets).map_err(|source| WireError::Decode {
        message: "request",
        source,
    })?;
    check_pattern_sets(sets)
}

/// Checks a request of `Subscribe` before it is decoded.
///
/// # Errors
/// Where it names too many sensors, or is no request.
#[cfg(feature = "serve")]
pub(super) fn check_subscribe_request(bytes: &[u8]) -> Result<(), WireError> {
    const SENSOR_IDS: u32 = 1;
    let names = count(bytes, SENSOR_IDS).map_err(|source| WireError::Decode {
        message: "request",
        source,
    })?;
    check_count("sensors", MAX_NAMES, names)
}

/// # Errors
/// Where there are more than any sensor has.
pub(crate) fn check_pattern_sets(sets: usize) -> Result<(), WireError> {
    check_count("pattern sets", MAX_PATTERN_SETS, sets)
}

fn check_count(what: &'static str, limit: usize, got: usize) -> Result<(), WireError> {
    match got <= limit {
        true => Ok(()),
        false => Err(WireError::Count { what, limit, got }),
    }
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
fn count(bytes: &[u8], field: u32) -> Result<usize, DecodeError> {
    let mut found = 0;
    fields(bytes, |tag, _| found += usize::from(tag == field))?;
    Ok(found)
}

/// Tags and contents of a message's strings, arrays and messages, one after another.
fn fields(mut bytes: &[u8], mut take: impl FnMut(u32, &[u8])) -> Result<(), DecodeError> {
    while !bytes.is_empty() {
        let (tag, wire_type) = decode_key(&mut bytes)?;
        let from = bytes;
        skip_field(wire_type, tag, &mut bytes, DecodeContext::default())?;
        if wire_type == WireType::LengthDelimited {
            let mut content = &from[..from.len() - bytes.len()];
            decode_varint(&mut content)?; // its length
            take(tag, content);
        }
    }
    Ok(())
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
        #[cfg(feature = "serve")]
        {
            let description = [0x52, 0x00].repeat(MAX_PATTERN_SETS / 2 + 1);
            let mut request = vec![0x0a, 0x82, 0x02]; // field 1, of 258 bytes
            request.extend(description);
            assert!(check_recover_request(&request).is_ok());
            assert!(matches!(
                check_recover_request(&request.repeat(2)), // which prost makes one of
                Err(WireError::Count { got: 258, .. })
            ));
            assert!(check_recover_request(&request[..9]).is_err());
            assert!(check_subscribe_request(&[0x0a, 0x00].repeat(MAX_NAMES)).is_ok());
            assert!(check_subscribe_request(&[0x0a, 0x00].repeat(MAX_NAMES + 1)).is_err());
        }
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
