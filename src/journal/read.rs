//! Reading a log from its start, as far as it goes.

use super::JournalError;
use bytes::Bytes;
use mcap::records::{Record, op};
use mcap::sans_io::linear_reader::{LinearReadEvent, LinearReader, LinearReaderOptions};
use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The longest record that is read, bytes.
const MAX_RECORD: usize = 96 << 20;
/// The most channels and schemas of a log.
const MAX_CHANNELS: usize = 1 << 12;
/// Bytes read at once at most where the reader asks for more.
const READ: usize = 1 << 16;

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
/// error, then nothing more.
pub struct Reader {
    path: PathBuf,
    file: File,
    size: u64,
    at: u64,
    linear: LinearReader,
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
        let io = |source| JournalError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = File::open(path).map_err(io)?;
        let size = file.metadata().map_err(io)?.len();
        let mut magic = [0; mcap::MAGIC.len()];
        let whole = file.read_exact(&mut magic).is_ok();
        if !whole || magic != *mcap::MAGIC {
            return Err(JournalError::NotALog {
                path: path.to_owned(),
            });
        }
        let options = LinearReaderOptions::default()
            .with_skip_start_magic(true)
            .with_validate_chunk_crcs(true)
            .with_record_length_limit(MAX_RECORD);
        Ok(Self {
            path: path.to_owned(),
            file,
            size,
            at: magic.len() as u64,
            linear: LinearReader::new_with_options(options),
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
            let (path, at) = (&self.path, self.at);
            let damaged = |source| JournalError::Damaged {
                path: path.clone(),
                at,
                source,
            };
            let cut = || JournalError::Cut {
                path: path.clone(),
                at,
            };
            match self.linear.next_event() {
                None => return Ok(None),
                // a chunk that was being written when its writer was killed has no length yet
                Some(Err(mcap::McapError::UnexpectedEof | mcap::McapError::UnexpectedEoc)) => {
                    return Err(cut());
                }
                Some(Err(source)) => return Err(damaged(source)),
                Some(Ok(LinearReadEvent::ReadRequest(wanted))) => {
                    if wanted as u64 > self.size.saturating_sub(self.at) && self.at == self.size {
                        return Err(cut());
                    }
                    let wanted = wanted.clamp(1, READ);
                    let read = self.file.read(self.linear.insert(wanted));
                    let read = read.map_err(|source| JournalError::Io {
                        path: self.path.clone(),
                        source,
                    })?;
                    self.linear.notify_read(read);
                    self.at += read as u64;
                }
                Some(Ok(LinearReadEvent::Record { data, opcode })) => {
                    if opcode == op::DATA_END {
                        return Ok(None); // what follows is an index
                    }
                    match mcap::parse_record(opcode, data).map_err(damaged)? {
                        Record::Schema { header, .. } if self.schemas.len() < MAX_CHANNELS => {
                            self.schemas.insert(header.id, header.name);
                        }
                        Record::Channel(channel) if self.channels.len() < MAX_CHANNELS => {
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
                                let source = mcap::McapError::UnknownChannel(
                                    header.sequence,
                                    header.channel_id,
                                );
                                return Err(damaged(source));
                            };
                            return Ok(Some(Entry {
                                channel: Arc::clone(channel),
                                log_time_ns: header.log_time,
                                data: Bytes::copy_from_slice(&data),
                            }));
                        }
                        _ => {}
                    }
                }
            }
        }
    }
}

impl Iterator for Reader {
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
