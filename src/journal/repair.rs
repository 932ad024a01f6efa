//! Repairing a log that was cut or damaged: everything that can still be read, in a whole log.

use super::{JournalError, PROFILE, sync_folder};
use mcap::records::{self, Record, op};
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};
use mcap::{Compression, McapError, McapResult};
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// The longest record that is taken, and the most that a chunk may come to, bytes.
const MAX_RECORD: usize = 256 << 20;
/// The most schemas and channels that are looked for outside chunks.
const MAX_DEFINITIONS: usize = 1 << 13;
/// Operation code and length.
const HEAD: u64 = 9;

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
/// put in its place at the end, on the disk: there is the old file or the new one, never a part. A log that is being written
/// must not be repaired in place: its writer would go on with the old one.
///
/// # Errors
/// Where the log cannot be read or is no MCAP file, or the new one cannot be written.
pub fn repair(log: &Path, out: &Path) -> Result<Repaired, JournalError> {
    let mut old = Records::open(log)?;
    let part = beside(out);
    let repaired = write(&mut old, &part).and_then(|repaired| {
        let placed = std::fs::rename(&part, out).and_then(|()| sync_folder(out));
        placed.map(|()| repaired).map_err(|e| failed(out, e.into()))
    });
    if repaired.is_err() {
        let _ = std::fs::remove_file(&part); // a part is of no use, and the first error says why
    }
    repaired
}

/// A name beside `out` that nothing has.
fn beside(out: &Path) -> PathBuf {
    let name = out.file_name().unwrap_or_default().to_string_lossy();
    out.with_file_name(format!(".{name}.{}.part", std::process::id()))
}

fn failed(path: &Path, source: McapError) -> JournalError {
    let path = path.to_owned();
    match source {
        McapError::Io(source) => JournalError::Io { path, source },
        source => JournalError::Write { path, source },
    }
}

fn write(old: &mut Records, part: &Path) -> Result<Repaired, JournalError> {
    let start = old.start().map_err(|source| JournalError::Io {
        path: old.path.clone(),
        source,
    })?;
    let file = File::create_new(part).map_err(|e| failed(part, e.into()))?;
    let new = mcap::WriteOptions::new()
        .compression(start.compression)
        .profile(start.profile.clone())
        .library(start.library.clone())
        .create(BufWriter::new(file))
        .map_err(|e| failed(part, e))?;
    let mut copy = Copy {
        new,
        sequences: (start.profile == PROFILE).then(HashMap::new),
        repaired: Repaired::default(),
    };
    // the index at the end of a log repeats them: they outlive the chunk that they first stood in
    for record in &start.definitions {
        copy.define(record).map_err(|e| failed(part, e))?;
    }
    copy.all(old).map_err(|source| match source {
        Failed::Reading(source) => JournalError::Io {
            path: old.path.clone(),
            source,
        },
        Failed::Writing(source) => failed(part, source),
    })?;
    let Copy {
        mut new, repaired, ..
    } = copy;
    let synced = new.finish().and_then(|_| {
        let file = new.into_inner().into_inner();
        Ok(file.map_err(io::IntoInnerError::into_error)?.sync_all()?)
    });
    synced.map(|()| repaired).map_err(|e| failed(part, e))
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

/// The records of a log, one by one.
struct Records {
    path: PathBuf,
    file: BufReader<File>,
    size: u64,
    at: u64,
}

/// A record as it stands in the file: shorter than its head says where the file is cut.
struct Framed {
    at: u64,
    opcode: u8,
    stated: u64,
    body: Vec<u8>,
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

impl Records {
    fn open(path: &Path) -> Result<Self, JournalError> {
        let io = |source| JournalError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = BufReader::new(File::open(path).map_err(io)?);
        let size = file.get_ref().metadata().map_err(io)?.len();
        let mut magic = [0; mcap::MAGIC.len()];
        if file.read_exact(&mut magic).is_err() || magic != *mcap::MAGIC {
            return Err(JournalError::NotALog {
                path: path.to_owned(),
            });
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
            at: magic.len() as u64,
        })
    }

    /// Reads everything but chunks, and goes back to the first record.
    fn start(&mut self) -> io::Result<Start> {
        let (first, mut start) = (self.at, Start::default());
        while let Some((at, opcode, stated)) = self.head()? {
            if opcode == op::CHUNK && stated > 40 && start.compression.is_none() {
                let body = self.body(at, opcode, stated, 64)?;
                let (_, name) = chunk_head(&body.body).unwrap_or_default();
                start.compression = compression(&name);
            } else if matches!(opcode, op::HEADER | op::SCHEMA | op::CHANNEL) {
                let body = self.body(at, opcode, stated, MAX_RECORD as u64)?;
                match mcap::parse_record(opcode, &body.body) {
                    Ok(Record::Header(header)) => {
                        (start.profile, start.library) = (header.profile, header.library);
                    }
                    Ok(record) if start.definitions.len() < MAX_DEFINITIONS => {
                        start.definitions.push(record.into_owned());
                    }
                    _ => {}
                }
            }
            self.go(at.saturating_add(HEAD).saturating_add(stated))?;
        }
        self.go(first)?;
        Ok(start)
    }

    fn go(&mut self, at: u64) -> io::Result<()> {
        self.at = at.min(self.size);
        self.file.seek(SeekFrom::Start(self.at)).map(|_| ())
    }

    /// Where the next record stands, its operation code and its length; `None` where the file has ended.
    fn head(&mut self) -> io::Result<Option<(u64, u8, u64)>> {
        let at = self.at;
        if self.size - at < HEAD {
            return Ok(None);
        }
        let mut head = [0; HEAD as usize];
        self.file.read_exact(&mut head)?;
        self.at += HEAD;
        let [opcode, length @ ..] = head;
        Ok(Some((at, opcode, u64::from_le_bytes(length))))
    }

    /// As much of a record as there is, and no more than `most`.
    fn body(&mut self, at: u64, opcode: u8, stated: u64, most: u64) -> io::Result<Framed> {
        let wanted = stated.min(self.size - self.at).min(most);
        let mut body = vec![0; wanted as usize];
        self.file.read_exact(&mut body)?;
        self.at += wanted;
        Ok(Framed {
            at,
            opcode,
            stated,
            body,
        })
    }
}

/// A log being copied.
struct Copy {
    new: mcap::Writer<BufWriter<File>>,
    /// the last sequence number of each channel, where they count messages
    sequences: Option<HashMap<u16, u32>>,
    repaired: Repaired,
}

impl Copy {
    fn all(&mut self, old: &mut Records) -> Result<(), Failed> {
        loop {
            let Some((at, opcode, stated)) = old.head().map_err(Failed::Reading)? else {
                let rest = old.size - old.at;
                if rest > 0 {
                    self.lose(old.at, rest, "the head of a record, cut");
                }
                return Ok(());
            };
            if opcode == op::DATA_END {
                self.repaired.whole = ends_well(old) && self.repaired.losses.is_empty();
                return Ok(());
            }
            if opcode == 0 || (stated > MAX_RECORD as u64 && stated <= old.size - old.at) {
                self.lose(at, old.size - at, "no record");
                return Ok(());
            }
            let most = MAX_RECORD as u64;
            let framed = old.body(at, opcode, stated, most);
            let framed = framed.map_err(Failed::Reading)?;
            let cut = (framed.body.len() as u64) < stated;
            match opcode {
                op::CHUNK => self.chunk(&framed, cut)?,
                _ if cut => self.lose(at, old.size - at, "a record, cut"),
                _ => match mcap::parse_record(opcode, &framed.body) {
                    Ok(record) => self.record(&record)?,
                    Err(e) => self.lose(at, HEAD + stated, &e.to_string()),
                },
            }
        }
    }

    fn lose(&mut self, at: u64, bytes: u64, reason: &str) {
        self.repaired.losses.push(Loss {
            at,
            bytes,
            span_ns: None,
            kept: 0,
            reason: reason.to_owned(),
        });
    }

    /// Copies a chunk's messages: all of it where it is whole, as far as it goes where it is cut, none where its checksum is wrong.
    fn chunk(&mut self, framed: &Framed, cut: bool) -> Result<(), Failed> {
        let before = self.repaired.messages;
        let options = LinearReaderOptions::default()
            .with_skip_start_magic(true)
            .with_skip_end_magic(true)
            .with_prevalidate_chunk_crcs(!cut)
            .with_record_length_limit(MAX_RECORD);
        let mut reader = LinearReader::new_with_options(options);
        let head = [&[framed.opcode][..], &framed.stated.to_le_bytes()].concat();
        let mut bytes = head.as_slice().chain(framed.body.as_slice());
        let reason = loop {
            match reader.next_event() {
                None => return Ok(()),
                Some(Ok(LinearReadEvent::ReadRequest(wanted))) => {
                    let wanted = wanted.min(HEAD as usize + framed.body.len());
                    let read = bytes.read(reader.insert(wanted)).map_err(Failed::Reading)?;
                    reader.notify_read(read);
                }
                Some(Ok(LinearReadEvent::Record { data, opcode })) => {
                    match mcap::parse_record(opcode, data) {
                        Ok(record) => self.record(&record)?,
                        Err(error) => break error.to_string(),
                    }
                }
                Some(Err(_)) if cut => break "a chunk, cut".to_owned(),
                Some(Err(error)) => break error.to_string(),
            }
        };
        self.repaired.losses.push(Loss {
            at: framed.at,
            bytes: HEAD + framed.body.len() as u64,
            span_ns: chunk_head(&framed.body).map(|(span, _)| span),
            kept: self.repaired.messages - before,
            reason,
        });
        Ok(())
    }

    fn record(&mut self, record: &Record<'_>) -> McapResult<()> {
        match record {
            Record::Message { header, data } => {
                match self.new.write_to_known_channel(header, data) {
                    // nothing says what it is: the chunk that did is lost
                    Err(McapError::UnknownChannel(..)) => self.repaired.missing += 1,
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
            Record::Channel(channel) => self.new.add_channel_with_id(
                channel.id,
                channel.schema_id,
                &channel.topic,
                &channel.message_encoding,
                &channel.metadata,
            ),
            _ => return Ok(()), // indices, which are made anew
        };
        match defined {
            Err(McapError::Io(error)) => Err(error.into()),
            _ => Ok(()),
        }
    }
}

/// Whether an index, a footer and the magic follow.
fn ends_well(old: &mut Records) -> bool {
    let magic = mcap::MAGIC.len() as u64;
    let mut tail = [0; mcap::MAGIC.len()];
    let found = old.go(old.size.saturating_sub(magic));
    found.and_then(|()| old.file.read_exact(&mut tail)).is_ok() && tail == *mcap::MAGIC
}

/// First and last log time of a chunk, ns, and the name of its compression.
fn chunk_head(body: &[u8]) -> Option<((u64, u64), String)> {
    let word = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
    let length = u32::from_le_bytes(body.get(28..32)?.try_into().ok()?) as usize;
    let name = body.get(32..32usize.checked_add(length)?)?;
    Some(((word(0)?, word(8)?), String::from_utf8_lossy(name).into()))
}

fn compression(name: &str) -> Option<Compression> {
    match name {
        "zstd" => Some(Compression::Zstd),
        "lz4" => Some(Compression::Lz4),
        _ => None,
    }
}
