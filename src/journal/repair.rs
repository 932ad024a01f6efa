//! Repairing a log that was cut or damaged: everything that can still be read, in a whole log.

use super::frame::{Chunk, ChunkHead, End, Framed, HEAD, MAX_RECORD, Records};
use super::{JournalError, PROFILE, record, sync_folder};
use mcap::records::{self, Record, op};
use mcap::{Compression, McapError, McapResult};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// The most schemas and channels that are looked for outside chunks.
const MAX_DEFINITIONS: usize = 1 << 13;

/// What a repair came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Repaired {
    /// whether nothing was amiss
    pub whole: bool,
    /// messages kept
    pub messages: u64,
    /// greatest log time of them, ns
    pub last_ns: Option<u64>,
    /// messages between those kept that must have been there by the sequence numbers of a log of ours
    pub missing: u64,
    /// messages that were not kept, as what describes them is lost
    pub undescribed: u64,
    /// parts of the file that could not be read
    pub losses: Vec<Loss>,
}

/// A part of a log that could not be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// where it begins, bytes from the file's start
    pub at: u64,
    /// how long it is, bytes
    pub bytes: u64,
    /// first and last log time of what it held, ns, where it says so itself
    pub span_ns: Option<(u64, u64)>,
    /// messages of it that were kept
    pub kept: u64,
    /// what is wrong
    pub reason: String,
}

/// Writes what can be read of `log` to `out`, whole and with an index; `out` may be the log itself. It is written beside and
/// put in its place at the end, on the disk, with its permissions: there is the old file or the new one, never a part.
///
/// # Errors
/// Where the log cannot be read or is no MCAP file, or the new one cannot be written, as in the place of a file that somebody
/// writes or reads as a log, who would go on with the old one.
pub fn repair(log: &Path, out: &Path) -> Result<Repaired, JournalError> {
    let old = File::open(log).map_err(|source| JournalError::Read {
        path: log.to_owned(),
        source,
    })?;
    let replaced = File::open(out).ok(); // locked until the new one is in its place
    if replaced.as_ref().is_some_and(super::is_in_use) {
        return Err(JournalError::InUse {
            path: out.to_owned(),
        });
    }
    let out = &std::fs::canonicalize(out).unwrap_or_else(|_| out.to_owned()); // what a link leads to is replaced, not the link
    let part = beside(out);
    let place = || {
        if let Some(replaced) = &replaced {
            std::fs::set_permissions(&part, replaced.metadata()?.permissions())?;
        }
        std::fs::rename(&part, out)?;
        sync_folder(out)
    };
    let repaired = write((log, old), (out, &part)).and_then(|repaired| {
        place()
            .map(|()| repaired)
            .map_err(|e| failed(out, e.into()))
    });
    if repaired.is_err() {
        let _ = std::fs::remove_file(&part); // a part is of no use, and the first error says why
    }
    repaired
}

fn write((log, old): (&Path, File), (out, part): (&Path, &Path)) -> Result<Repaired, JournalError> {
    let write = |e: io::Error| failed(out, e.into());
    let new = BufWriter::new(File::create_new(part).map_err(write)?);
    let (repaired, new) = salvage((log, BufReader::new(old)), (out, new))?;
    let new = new.into_inner().map_err(|e| write(e.into_error()))?;
    new.sync_all().map_err(write)?;
    Ok(repaired)
}

/// The same from anything to anything, each with its name in errors.
///
/// # Errors
/// As [`repair`].
pub fn salvage<R: Read + Seek, W: Write + Seek>(
    (log, mut old): (&Path, R),
    (out, new): (&Path, W),
) -> Result<(Repaired, W), JournalError> {
    let read = |source| JournalError::Read {
        path: log.to_owned(),
        source,
    };
    let size = old.seek(SeekFrom::End(0)).map_err(read)?;
    old.rewind().map_err(read)?;
    let Some(mut old) = Records::over(old, size).map_err(read)? else {
        return Err(JournalError::NotALog {
            path: log.to_owned(),
        });
    };
    let start = start(&mut old).map_err(read)?;
    let new = mcap::WriteOptions::new()
        .compression(start.compression)
        .profile(start.profile.clone())
        .library(start.library.clone())
        .create(new)
        .map_err(|e| failed(out, e))?;
    let mut copy = Copy {
        new,
        sequences: (start.profile == PROFILE).then(HashMap::new),
        repaired: Repaired::default(),
    };
    // the index at the end of a log repeats them: they outlive the chunk that they first stood in
    let is_schema = |record: &&Record<'_>| matches!(record, Record::Schema { .. });
    let (schemas, channels): (Vec<_>, Vec<_>) = start.definitions.iter().partition(is_schema);
    for record in schemas.into_iter().chain(channels) {
        copy.define(record).map_err(|e| failed(out, e))?;
    }
    copy.all(&mut old).map_err(|source| match source {
        Failed::Reading(source) => read(source),
        Failed::Writing(source) => failed(out, source),
    })?;
    let Copy {
        mut new, repaired, ..
    } = copy;
    new.finish().map_err(|e| failed(out, e))?;
    Ok((repaired, new.into_inner()))
}

/// A name beside `out` that nothing has.
fn beside(out: &Path) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!(".{name}.{}.part", std::process::id()))
}

fn failed(path: &Path, source: McapError) -> JournalError {
    let path = path.to_owned();
    match source {
        McapError::Io(source) => JournalError::Write { path, source },
        source => JournalError::Refused { path, source },
    }
}

enum Failed {
    Reading(io::Error),
    Writing(McapError),
}

impl From<McapError> for Failed {
    fn from(source: McapError) -> Self {
        Self::Writing(source)
    }
}

/// What is known before messages are read.
#[derive(Default)]
struct Start {
    profile: String,
    library: String,
    compression: Option<Compression>,
    /// schemas and channels outside chunks
    definitions: Vec<Record<'static>>,
}

/// Reads everything but chunks, and goes back to the first record.
fn start<R: Read + Seek>(old: &mut Records<R>) -> io::Result<Start> {
    let (first, mut start) = (old.at, Start::default());
    while let Some(head) = old.head()? {
        let (at, opcode, stated) = head;
        if opcode == op::CHUNK && start.compression.is_none() {
            let framed = old.body(head, 64)?;
            let head = ChunkHead::of(&framed.body).unwrap_or_default();
            start.compression = compression(&head.compression);
        } else if matches!(opcode, op::HEADER | op::SCHEMA | op::CHANNEL) {
            let framed = old.body(head, MAX_RECORD)?;
            match record::parse(opcode, &framed.body) {
                Ok(Record::Header(header)) => {
                    (start.profile, start.library) = (header.profile, header.library);
                }
                Ok(record) if start.definitions.len() < MAX_DEFINITIONS => {
                    start.definitions.push(record.into_owned());
                }
                _ => {}
            }
        }
        old.go(at.saturating_add(HEAD).saturating_add(stated))?;
    }
    old.go(first)?;
    Ok(start)
}

/// A log being copied.
struct Copy<W: Write + Seek> {
    new: mcap::Writer<W>,
    /// the last sequence number of each channel, where they count messages
    sequences: Option<HashMap<u16, u32>>,
    repaired: Repaired,
}

impl<W: Write + Seek> Copy<W> {
    fn all<R: Read + Seek>(&mut self, old: &mut Records<R>) -> Result<(), Failed> {
        loop {
            let Some(head) = old.head().map_err(Failed::Reading)? else {
                let rest = old.size - old.at;
                if rest > 0 {
                    self.lose(old.at, rest, "the head of a record, cut");
                }
                return Ok(());
            };
            let (at, opcode, stated) = head;
            if opcode == op::DATA_END {
                match old.end(stated).map_err(Failed::Reading)? {
                    End::Whole => {
                        let Repaired {
                            losses,
                            undescribed,
                            ..
                        } = &self.repaired;
                        self.repaired.whole = losses.is_empty() && *undescribed == 0;
                    }
                    End::Cut => {}
                    End::Beyond(at) => self.lose(at, old.size - at, "something behind the end"),
                }
                return Ok(());
            }
            if opcode == 0 && stated == 0 {
                self.lose(at, HEAD, "zeros, as a disk without power leaves");
                continue;
            }
            if stated > MAX_RECORD && stated <= old.size - old.at {
                self.lose(at, old.size - at, "a record longer than any");
                return Ok(());
            }
            let framed = old.body(head, MAX_RECORD).map_err(Failed::Reading)?;
            match framed.opcode {
                op::CHUNK => self.chunk(&framed, old.size)?,
                _ if framed.is_cut() => self.lose(at, old.size - at, "a record, cut"),
                _ => match record::parse(opcode, &framed.body) {
                    Ok(record) => self.record(&record)?,
                    Err(e) => self.lose(at, HEAD + stated, &e.to_string()),
                },
            }
            if framed.is_cut() {
                return Ok(()); // it says that all that follows is its own
            }
        }
    }

    fn lose(&mut self, at: u64, bytes: u64, reason: &str) {
        if let Some(last) = self.repaired.losses.last_mut()
            && (last.at + last.bytes, last.reason.as_str()) == (at, reason)
        {
            last.bytes += bytes;
            return;
        }
        self.repaired.losses.push(Loss {
            at,
            bytes,
            span_ns: None,
            kept: 0,
            reason: reason.to_owned(),
        });
    }

    /// Copies a chunk's messages: all of it where it is whole, as far as it goes where it is cut, none where its checksum is wrong;
    /// `size` is the file's.
    fn chunk(&mut self, framed: &Framed, size: u64) -> Result<(), Failed> {
        let before = self.repaired.messages;
        let fault = match Chunk::open(framed) {
            Ok(mut chunk) => self.records(&mut chunk)?,
            Err(error) => Some(error),
        };
        let reason = match fault {
            None if !framed.is_cut() => return Ok(()),
            Some(error) if !framed.is_cut() => error.to_string(),
            _ => "a chunk, cut".to_owned(),
        };
        self.repaired.losses.push(Loss {
            at: framed.at,
            bytes: match framed.is_cut() {
                true => size - framed.at,
                false => HEAD + framed.stated,
            },
            span_ns: ChunkHead::of(&framed.body).map(|head| head.span_ns),
            kept: self.repaired.messages - before,
            reason,
        });
        Ok(())
    }

    /// Copies records until there is no more, or something is wrong.
    fn records(&mut self, chunk: &mut Chunk) -> Result<Option<McapError>, Failed> {
        while let Some(record) = chunk.next() {
            let (opcode, body) = match record {
                Ok(record) => record,
                Err(error) => return Ok(Some(error)),
            };
            match record::parse(opcode, &body) {
                Ok(record) => self.record(&record)?,
                Err(error) => return Ok(Some(error)),
            }
        }
        Ok(None)
    }

    fn record(&mut self, record: &Record<'_>) -> McapResult<()> {
        match record {
            Record::Message { header, data } => {
                match self.new.write_to_known_channel(header, data) {
                    // nothing says what it is: the chunk that did is lost
                    Err(McapError::UnknownChannel(..)) => self.repaired.undescribed += 1,
                    written => {
                        written?;
                        self.count(header);
                    }
                }
            }
            Record::Metadata(metadata) => self.new.write_metadata(metadata)?,
            Record::Attachment { header, data, .. } => self.new.attach(&mcap::Attachment {
                log_time: header.log_time,
                create_time: header.create_time,
                name: header.name.clone(),
                media_type: header.media_type.clone(),
                data: data.clone(),
            })?,
            other => self.define(other)?,
        }
        Ok(())
    }

    fn count(&mut self, header: &records::MessageHeader) {
        let repaired = &mut self.repaired;
        repaired.messages += 1;
        repaired.last_ns = repaired.last_ns.max(Some(header.log_time));
        if let Some(sequences) = &mut self.sequences {
            let last = sequences.insert(header.channel_id, header.sequence);
            let next = last.map_or(0, |last| last.wrapping_add(1));
            repaired.missing += u64::from(header.sequence.saturating_sub(next));
        }
    }

    /// Takes over a schema or a channel; one that contradicts what is known is passed over.
    fn define(&mut self, record: &Record<'_>) -> McapResult<()> {
        let defined = match record {
            Record::Schema { header: h, data } => {
                self.new
                    .add_schema_with_id(h.id, &h.name, &h.encoding, data)
            }
            Record::Channel(channel) => {
                let mut add = |schema| {
                    let (topic, encoding) = (&channel.topic, &channel.message_encoding);
                    self.new.add_channel_with_id(
                        channel.id,
                        schema,
                        topic,
                        encoding,
                        &channel.metadata,
                    )
                };
                match add(channel.schema_id) {
                    // its messages are worth keeping without
                    Err(McapError::UnknownSchema(..)) => add(0),
                    added => added,
                }
            }
            _ => return Ok(()), // indices, which are made anew
        };
        match defined {
            Err(McapError::Io(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

fn compression(name: &str) -> Option<Compression> {
    match name {
        "zstd" => Some(Compression::Zstd),
        "lz4" => Some(Compression::Lz4),
        _ => None,
    }
}
