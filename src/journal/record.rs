//! Records, their lengths checked before anything is allocated for them.

use mcap::records::{Record, op};
use mcap::{McapError, McapResult};

/// Parses a record that is read here; any other is handed back as it is.
///
/// The container's own parser believes the lengths of strings, up to 4 GiB each.
pub(super) fn parse(opcode: u8, body: &[u8]) -> McapResult<Record<'_>> {
    let mut walk = Walk(body);
    let fits = match opcode {
        op::HEADER => walk.strings(2),
        op::SCHEMA => walk.skip(2).and_then(|()| walk.strings(3)),
        op::CHANNEL => walk
            .skip(4)
            .and_then(|()| walk.strings(2))
            .and_then(|()| walk.map()),
        op::METADATA => walk.strings(1).and_then(|()| walk.map()),
        op::ATTACHMENT => walk
            .skip(16)
            .and_then(|()| walk.strings(2))
            .and_then(|()| walk.attached()),
        op::MESSAGE => Some(()),
        _ => {
            return Ok(Record::Unknown {
                opcode,
                data: body.into(),
            });
        }
    };
    fits.ok_or(McapError::RecordTooLarge {
        opcode,
        len: body.len() as u64,
    })?;
    mcap::parse_record(opcode, body)
}

/// What is left of a record's body; `None` where something is longer than that.
struct Walk<'a>(&'a [u8]);

impl<'a> Walk<'a> {
    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }

    /// Bytes after their length.
    fn part(&mut self) -> Option<&'a [u8]> {
        let (length, rest) = self.0.split_first_chunk()?;
        let (part, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        self.0 = rest;
        Some(part)
    }

    fn strings(&mut self, count: usize) -> Option<()> {
        (0..count).try_for_each(|_| self.part().map(|_| ()))
    }

    /// Bytes after a length of eight bytes, and a checksum, whose four bytes the container's own parser takes for granted.
    fn attached(&mut self) -> Option<()> {
        let length = u64::from_le_bytes(*self.0.first_chunk()?);
        self.skip(8)?;
        self.skip(usize::try_from(length).ok()?)?;
        self.skip(4)
    }

    /// Pairs of strings after the length of all: of a key alone the container's own parser reads the value beyond them.
    fn map(&mut self) -> Option<()> {
        let mut inside = Walk(self.part()?);
        while !inside.0.is_empty() {
            inside.strings(2)?;
        }
        Some(())
    }
}
