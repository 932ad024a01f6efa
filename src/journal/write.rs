//! Writing a log, so that little is lost whatever happens.

use super::JournalError;
use crate::clock::Clock;
use crate::wire;
use mcap::write::NoSeek;
use prost::{Message, Name};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// When written messages are out of the process's hands, and when out of the machine's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Durability {
    /// the longest that messages wait for their chunk to be closed and handed to the system, ns
    pub flush_ns: u64,
    /// whether the system is then made to bring them to the disk, and waited for
    pub sync: bool,
}

impl Default for Durability {
    /// For logs that can be made again: half a second, and the system takes its time.
    fn default() -> Self {
        Self {
            flush_ns: 500_000_000,
            sync: false,
        }
    }
}

/// A log being written: uncompressed MCAP, chunk by chunk, and never back into what is written already. A process killed at
/// any moment loses at most what was written in the last [`Durability::flush_ns`], and what was not yet followed by
/// [`Writer::flush_if_due`]; with [`Durability::sync`] a machine that loses power does not lose more.
pub struct Writer<C, W: Write = File> {
    path: PathBuf,
    log: mcap::Writer<NoSeek<BufWriter<W>>>,
    durability: Durability,
    sync: Sync,
    channels: HashMap<String, Open>,
    clock: C,
    /// when the oldest message still unflushed was written
    pending_since: Option<u64>,
    buffer: Vec<u8>,
}

/// Brings to the disk what the system has.
type Sync = Box<dyn FnMut() -> io::Result<()> + Send>;

struct Open {
    id: u16,
    written: u32,
}

impl<C: Clock> Writer<C> {
    /// Creates the file, or empties it; nobody else can while it is written.
    ///
    /// # Errors
    /// Where it cannot be written, or somebody else writes it or reads it as a log.
    pub fn create(path: &Path, clock: C) -> Result<Self, JournalError> {
        Self::durable(path, clock, Durability::default())
    }

    /// The same, where it matters when messages are safe.
    ///
    /// # Errors
    /// As [`Writer::create`].
    pub fn durable(path: &Path, clock: C, durability: Durability) -> Result<Self, JournalError> {
        let io = |source| JournalError::Write {
            path: path.to_owned(),
            source,
        };
        let file = File::options()
            .write(true)
            .create(true)
            .truncate(false) // not before it is known to be nobody's
            .open(path)
            .map_err(io)?;
        if super::is_in_use(&file) {
            return Err(JournalError::InUse {
                path: path.to_owned(),
            });
        }
        let mut durability = durability;
        match file.metadata().map_err(io)?.is_file() {
            true => file.set_len(0).map_err(io)?,
            false => durability.sync = false, // what devices and pipes are given is out of their hands
        }
        let synced = file.try_clone().map_err(io)?;
        if durability.sync {
            super::sync_folder(path).map_err(io)?; // or a crash may take the file's name
        }
        Self::over(file, move || synced.sync_data(), path, clock, durability)
    }
}

impl<C: Clock, W: Write> Writer<C, W> {
    /// Over anything that bytes go to; `sync` brings to the disk what it was given, `path` is its name in errors.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn over(
        file: W,
        sync: impl FnMut() -> io::Result<()> + Send + 'static,
        path: &Path,
        clock: C,
        durability: Durability,
    ) -> Result<Self, JournalError> {
        let log = mcap::WriteOptions::new()
            .disable_seeking(true) // what a crash leaves are whole chunks, whose lengths are right, and the start of one
            .compression(None) // f32 depth hardly shrinks, and a cut log keeps the chunk it ends in
            .profile(super::PROFILE)
            .library(concat!("relucent ", env!("CARGO_PKG_VERSION")))
            .create(NoSeek::new(BufWriter::new(file)))
            .map_err(|source| JournalError::Refused {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            path: path.to_owned(),
            log,
            durability,
            sync: Box::new(sync),
            channels: HashMap::new(),
            clock,
            pending_since: None,
            buffer: Vec::new(),
        })
    }

    /// Where it is written.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a message; `stamp_ns` is its acquisition time, by which viewers order it.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn write<M: Message + Name>(
        &mut self,
        topic: &str,
        stamp_ns: u64,
        message: &M,
    ) -> Result<(), JournalError> {
        let id = match self.channels.get(topic) {
            Some(open) => open.id,
            None => self.open::<M>(topic)?,
        };
        let sequence = self.channels.get_mut(topic).map_or(0, |open| {
            open.written = open.written.wrapping_add(1);
            open.written - 1
        });
        self.buffer.clear();
        self.buffer.reserve(message.encoded_len());
        message.encode_raw(&mut self.buffer);
        let header = mcap::records::MessageHeader {
            channel_id: id,
            sequence,
            log_time: stamp_ns,
            publish_time: stamp_ns,
        };
        self.log
            .write_to_known_channel(&header, &self.buffer)
            .map_err(|source| self.failed(source))?;
        self.pending_since.get_or_insert(self.clock.now_ns());
        self.flush_if_due()
    }

    /// Closes the chunk and hands it on where messages have waited for [`Durability::flush_ns`]: to be called at least
    /// that often, also while there is nothing to write.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn flush_if_due(&mut self) -> Result<(), JournalError> {
        let flush_ns = self.durability.flush_ns;
        let due = |since: u64| self.clock.now_ns().saturating_sub(since) >= flush_ns;
        if self.pending_since.is_some_and(due) {
            self.log.flush().map_err(|source| self.failed(source))?;
            if self.durability.sync {
                (self.sync)().map_err(|source| JournalError::Write {
                    path: self.path.clone(),
                    source,
                })?;
            }
            self.pending_since = None;
        }
        Ok(())
    }

    /// Writes the index and closes the file.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn finish(mut self) -> Result<(), JournalError> {
        self.log.finish().map_err(|source| self.failed(source))?;
        let Self {
            log,
            path,
            durability,
            mut sync,
            ..
        } = self;
        let flushed = log.into_inner().into_inner().flush();
        let ended = flushed.and_then(|()| if durability.sync { sync() } else { Ok(()) });
        ended.map_err(|source| JournalError::Write { path, source })
    }

    fn open<M: Name>(&mut self, topic: &str) -> Result<u16, JournalError> {
        let name = M::full_name();
        let schema = self
            .log
            .add_schema(&name, "protobuf", &wire::schema(&name))
            .map_err(|source| self.failed(source))?;
        let id = self
            .log
            .add_channel(schema, topic, "protobuf", &BTreeMap::new())
            .map_err(|source| self.failed(source))?;
        self.channels
            .insert(topic.to_owned(), Open { id, written: 0 });
        Ok(id)
    }

    fn failed(&self, source: mcap::McapError) -> JournalError {
        let path = self.path.clone();
        match source {
            mcap::McapError::Io(source) => JournalError::Write { path, source },
            source => JournalError::Refused { path, source },
        }
    }
}
