//! Reading a log from its start, as far as it goes.

use super::frame::{Chunk, MAX_RECORD, Records};
use super::{JournalError, record};
use bytes::Bytes;
use mcap::McapError;
use mcap::records::{Record, op};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What messages of a topic are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// its topic
    pub topic: String,
    /// name of its schema, such as `relucent.v1.DepthFrame`; empty where there is none
    pub schema: String,
    /// encoding of its messages, such as `protobuf`, `cdr` or `ros1`
    pub encoding: String,
}

/// A message of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// what it is
    pub channel: Arc<Channel>,
    /// when it was logged, ns
    pub log_time_ns: u64,
    /// its bytes
    pub data: Bytes,
}

/// The messages of a log in the order of the file. A log that is cut or damaged gives all messages before that, then one
/// error, then nothing more; a chunk whose checksum is wrong gives none.
pub struct Reader<R = BufReader<File>> {
    path: PathBuf,
    records: Records<R>,
    /// a chunk being read, and whether the file ends within it
    chunk: Option<(Chunk, bool)>,
    schemas: HashMap<u16, String>,
    channels: HashMap<u16, Arc<Channel>>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// the records that follow are an index
    Done,
}

impl Reader {
    /// Opens a log.
    ///
    /// # Errors
    /// Where it cannot be read or is no MCAP file.
    pub fn open(path: &Path) -> Result<Self, JournalError> {
        let io = |source| JournalError::Read {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(io)?;
        if cfg!(unix) {
            let _ = file.try_lock_shared(); // so that no writer empties it; one that still writes it may be read along
        }
        let size = file.metadata().map_err(io)?.len();
        Self::over(BufReader::new(file), size, path)
    }
}

impl<R: Read> Reader<R> {
    /// Over anything that holds the `size` bytes of a log; `path` is its name in errors.
    ///
    /// # Errors
    /// Where it is no MCAP file.
    pub fn over(file: R, size: u64, path: &Path) -> Result<Self, JournalError> {
        let records = Records::over(file, size).map_err(|source| JournalError::Read {
            path: path.to_owned(),
            source,
        })?;
        let Some(records) = records else {
            return Err(JournalError::NotALog {
                path: path.to_owned(),
            });
        };
        Ok(Self {
            path: path.to_owned(),
            records,
            chunk: None,
            schemas: HashMap::new(),
            channels: HashMap::new(),
            state: State::Reading,
        })
    }

    /// Where it is read from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn advance(&mut self) -> Result<Option<Entry>, JournalError> {
        loop {
            let (opcode, body) = match &mut self.chunk {
                Some((chunk, cut)) => match chunk.next() {
                    Some(Ok(record)) => record,
                    Some(Err(_)) | None if *cut => return Err(self.cut()),
                    Some(Err(source)) => return Err(self.damaged(source)),
                    None => {
                        self.chunk = None;
                        continue;
                    }
                },
                None => match self.record()? {
                    Some(record) => record,
                    None => return Ok(None),
                },
            };
            if let Some(entry) = self.take(opcode, &body)? {
                return Ok(Some(entry));
            }
        }
    }

    /// The next record outside chunks; one that opens a chunk is empty. `None` where an index follows.
    fn record(&mut self) -> Result<Option<(u8, Bytes)>, JournalError> {
        let io = |path: &Path, source| JournalError::Read {
            path: path.to_owned(),
            source,
        };
        let head = self.records.head().map_err(|e| io(&self.path, e))?;
        let Some((at, opcode, stated)) = head else {
            return Err(self.cut());
        };
        if opcode == op::DATA_END {
            return Ok(None);
        }
        if stated > MAX_RECORD && stated <= self.records.size - self.records.at {
            let len = stated;
            return Err(self.damaged(McapError::RecordTooLarge { opcode, len }));
        }
        let framed = self.records.body((at, opcode, stated), MAX_RECORD);
        let framed = framed.map_err(|e| io(&self.path, e))?;
        match opcode {
            op::CHUNK => match Chunk::open(&framed) {
                Ok(chunk) => {
                    self.chunk = Some((chunk, framed.is_cut()));
                    Ok(Some((opcode, Bytes::new())))
                }
                // what was being written when its writer was killed may have no length yet, or the greatest
                Err(McapError::UnexpectedEoc) => Err(self.cut()),
                Err(source) => Err(self.damaged(source)),
            },
            _ if framed.is_cut() => Err(self.cut()),
            _ => Ok(Some((opcode, framed.body))),
        }
    }

    /// Takes in what a record says; a message is handed on.
    fn take(&mut self, opcode: u8, body: &Bytes) -> Result<Option<Entry>, JournalError> {
        match record::parse(opcode, body).map_err(|e| self.damaged(e))? {
            Record::Schema { header, .. } => {
                self.schemas.insert(header.id, header.name);
            }
            Record::Channel(channel) => {
                let schema = self.schemas.get(&channel.schema_id);
                let known = Channel {
                    topic: channel.topic,
                    schema: schema.cloned().unwrap_or_default(),
                    encoding: channel.message_encoding,
                };
                self.channels
                    .entry(channel.id)
                    .or_insert_with(|| Arc::new(known));
            }
            Record::Message { header, data } => {
                let Some(channel) = self.channels.get(&header.channel_id) else {
                    let (sequence, id) = (header.sequence, header.channel_id);
                    return Err(self.damaged(McapError::UnknownChannel(sequence, id)));
                };
                return Ok(Some(Entry {
                    channel: Arc::clone(channel),
                    log_time_ns: header.log_time,
                    data: body.slice(body.len() - data.len()..),
                }));
            }
            _ => {}
        }
        Ok(None)
    }

    fn cut(&self) -> JournalError {
        JournalError::Cut {
            path: self.path.clone(),
            at: self.records.size.min(self.records.at),
        }
    }

    fn damaged(&self, source: McapError) -> JournalError {
        JournalError::Damaged {
            path: self.path.clone(),
            at: self.records.at,
            source,
        }
    }
}

impl<R: Read> Iterator for Reader<R> {
    type Item = Result<Entry, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.state == State::Done {
            return None;
        }
        let entry = self.advance();
        if !matches!(entry, Ok(Some(_))) {
            self.state = State::Done;
        }
        entry.transpose()
    }
}
