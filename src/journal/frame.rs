//! How a log is framed: records one after the other, some of them in chunks.
//!
//! The container's own streaming reader takes a record that is longer than its chunk for a reason to panic (where arithmetic is
//! checked) or to read on (where it is not): chunks are taken apart here, and it is left only what is compressed.

use bytes::Bytes;
use mcap::records::op;
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};
use mcap::{McapError, McapResult};
use std::io::{self, Read, Seek, SeekFrom};

/// The longest record that is taken, bytes.
pub(super) const MAX_RECORD: u64 = 256 << 20;
/// The most that a compressed chunk may come to, bytes: it may say so in fifty.
const MAX_EXPANDED: usize = 96 << 20;
/// Operation code and length.
pub(super) const HEAD: u64 = 9;

/// The records of a log, one by one.
pub(super) struct Records<R> {
    file: R,
    pub(super) size: u64,
    pub(super) at: u64,
}

/// A record as it stands in the file: shorter than its head says where the file is cut.
pub(super) struct Framed {
    pub(super) at: u64,
    pub(super) opcode: u8,
    pub(super) stated: u64,
    pub(super) body: Bytes,
}

impl Framed {
    pub(super) fn is_cut(&self) -> bool {
        (self.body.len() as u64) < self.stated
    }
}

impl<R: Read> Records<R> {
    /// The records behind the magic; `None` where there is no log.
    pub(super) fn over(mut file: R, size: u64) -> io::Result<Option<Self>> {
        let mut magic = [0; mcap::MAGIC.len()];
        if size < magic.len() as u64 {
            return Ok(None);
        }
        file.read_exact(&mut magic)?;
        let at = magic.len() as u64;
        Ok((magic == *mcap::MAGIC).then_some(Self { file, size, at }))
    }

    /// Where the next record stands, its operation code and its length; `None` where the file has ended.
    pub(super) fn head(&mut self) -> io::Result<Option<(u64, u8, u64)>> {
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
    pub(super) fn body(
        &mut self,
        (at, opcode, stated): (u64, u8, u64),
        most: u64,
    ) -> io::Result<Framed> {
        let wanted = stated.min(self.size - self.at).min(most);
        let mut body = vec![0; wanted as usize];
        self.file.read_exact(&mut body)?;
        self.at += wanted;
        Ok(Framed {
            at,
            opcode,
            stated,
            body: body.into(),
        })
    }
}

impl<R: Read + Seek> Records<R> {
    pub(super) fn go(&mut self, at: u64) -> io::Result<()> {
        self.at = at.min(self.size);
        self.file.seek(SeekFrom::Start(self.at)).map(|_| ())
    }

    /// How the file ends from the body of the record behind the data on, which is `stated` bytes long.
    pub(super) fn end(&mut self, stated: u64) -> io::Result<End> {
        self.go(self.at.saturating_add(stated))?;
        while let Some((at, opcode, stated)) = self.head()? {
            self.go(self.at.saturating_add(stated))?;
            match opcode {
                op::SCHEMA
                | op::CHANNEL
                | op::STATISTICS
                | op::CHUNK_INDEX
                | op::ATTACHMENT_INDEX
                | op::METADATA_INDEX
                | op::SUMMARY_OFFSET
                | 0x80.. => {} // the last are anybody's own
                op::FOOTER => {
                    let mut tail =
                        vec![0; (self.size - self.at).min(mcap::MAGIC.len() as u64) as usize];
                    self.file.read_exact(&mut tail)?;
                    self.at += tail.len() as u64;
                    return Ok(match (tail == *mcap::MAGIC, self.size - self.at) {
                        (true, 0) => End::Whole,
                        (true, _) => End::Beyond(self.at),
                        (false, _) if tail.len() == mcap::MAGIC.len() => {
                            End::Beyond(self.at - tail.len() as u64)
                        }
                        (false, _) => End::Cut,
                    });
                }
                _ => return Ok(End::Beyond(at)),
            }
        }
        Ok(End::Cut)
    }
}

/// How a file ends behind a log's data.
pub(super) enum End {
    /// as a log does
    Whole,
    /// in the middle of what says where all is
    Cut,
    /// not there: something else begins here
    Beyond(u64),
}

/// What a chunk says of itself.
#[derive(Default)]
pub(super) struct ChunkHead {
    /// first and last log time, ns
    pub(super) span_ns: (u64, u64),
    pub(super) compression: String,
    crc: u32,
    /// where its records begin, bytes
    start: usize,
    /// how long they are, bytes
    length: u64,
}

impl ChunkHead {
    /// `None` where the body of the chunk ends before it has begun.
    pub(super) fn of(body: &[u8]) -> Option<Self> {
        let word = |at: usize| Some(u64::from_le_bytes(body.get(at..at + 8)?.try_into().ok()?));
        let half = |at: usize| Some(u32::from_le_bytes(body.get(at..at + 4)?.try_into().ok()?));
        let name_end = 32usize.checked_add(half(28)? as usize)?;
        Some(Self {
            span_ns: (word(0)?, word(8)?),
            compression: String::from_utf8_lossy(body.get(32..name_end)?).into(),
            crc: half(24)?,
            start: name_end.checked_add(8)?,
            length: word(name_end)?,
        })
    }
}

/// The records of a chunk; where it is cut as many as there are, then an error.
pub(super) enum Chunk {
    Plain {
        rest: Bytes,
    },
    Compressed {
        reader: Box<LinearReader>,
        rest: Bytes,
    },
}

impl Chunk {
    /// # Errors
    /// Where it has no head, is longer than its record, or has another checksum than it says.
    pub(super) fn open(framed: &Framed) -> McapResult<Self> {
        let cut = framed.is_cut();
        let Some(head) = ChunkHead::of(&framed.body) else {
            return Err(McapError::UnexpectedEoc);
        };
        let there = (framed.body.len() - head.start.min(framed.body.len())) as u64;
        if head.length > there && !cut {
            return Err(McapError::UnexpectedEoc);
        }
        if !head.compression.is_empty() {
            let options = LinearReaderOptions::default()
                .with_skip_start_magic(true)
                .with_skip_end_magic(true)
                .with_prevalidate_chunk_crcs(!cut)
                .with_record_length_limit(MAX_EXPANDED);
            let stated = framed.stated.to_le_bytes();
            return Ok(Self::Compressed {
                reader: Box::new(LinearReader::new_with_options(options)),
                rest: [&[op::CHUNK][..], &stated, &framed.body].concat().into(),
            });
        }
        let end = head.start + head.length.min(there) as usize;
        let rest = framed.body.slice(head.start.min(end)..end);
        let calculated = if cut || head.crc == 0 {
            head.crc
        } else {
            crc32fast::hash(&rest)
        };
        if calculated != head.crc {
            let saved = head.crc;
            return Err(McapError::BadChunkCrc { saved, calculated });
        }
        Ok(Self::Plain { rest })
    }

    /// Operation code and body of the next record.
    pub(super) fn next(&mut self) -> Option<McapResult<(u8, Bytes)>> {
        match self {
            Self::Plain { rest } => {
                if rest.is_empty() {
                    return None;
                }
                let whole = rest.get(..HEAD as usize).and_then(|head| {
                    let length = u64::from_le_bytes(head[1..].try_into().ok()?);
                    let end = usize::try_from(HEAD.checked_add(length)?).ok()?;
                    (end <= rest.len()).then_some((head[0], end))
                });
                let Some((opcode, end)) = whole else {
                    *rest = Bytes::new();
                    return Some(Err(McapError::UnexpectedEoc));
                };
                let record = rest.split_to(end);
                Some(Ok((opcode, record.slice(HEAD as usize..))))
            }
            Self::Compressed { reader, rest } => loop {
                match reader.next_event()? {
                    Err(error) => return Some(Err(error)),
                    Ok(LinearReadEvent::Record { data, opcode }) => {
                        return Some(Ok((opcode, Bytes::copy_from_slice(data))));
                    }
                    Ok(LinearReadEvent::ReadRequest(wanted)) => {
                        let part = rest.split_to(wanted.min(rest.len()));
                        reader.insert(part.len()).copy_from_slice(&part);
                        reader.notify_read(part.len());
                    }
                }
            },
        }
    }
}
