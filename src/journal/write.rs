//! Writing a log, so that little is lost whatever happens.

use super::JournalError;
use crate::clock::Clock;
use crate::wire;
use prost::{Message, Name};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// The longest that written messages wait for their chunk to be closed and handed to the system, ns.
const FLUSH_NS: u64 = 500_000_000;

/// A log being written: uncompressed MCAP in chunks. A process killed at any moment loses at most what was written in
/// the last half second, and what was not yet followed by [`Writer::flush_if_due`].
pub struct Writer<C> {
    path: PathBuf,
    log: mcap::Writer<BufWriter<File>>,
    channels: HashMap<String, Open>,
    clock: C,
    /// when the oldest message still unflushed was written
    pending_since: Option<u64>,
    buffer: Vec<u8>,
}

struct Open {
    id: u16,
    written: u32,
}

impl<C: Clock> Writer<C> {
    /// Creates the file, or empties it.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn create(path: &Path, clock: C) -> Result<Self, JournalError> {
        let file = File::create(path).map_err(|source| JournalError::Io {
            path: path.to_owned(),
            source,
        })?;
        let log = mcap::WriteOptions::new()
            .compression(None) // f32 depth hardly shrinks, and a cut log keeps the chunk it ends in
            .profile("relucent")
            .library(concat!("relucent ", env!("CARGO_PKG_VERSION")))
            .create(BufWriter::new(file))
            .map_err(|source| JournalError::Write {
                path: path.to_owned(),
                source,
            })?;
        Ok(Self {
            path: path.to_owned(),
            log,
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

    /// Closes the chunk and hands it to the system where messages have waited for half a second: to be called at least
    /// that often, also while there is nothing to write.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn flush_if_due(&mut self) -> Result<(), JournalError> {
        let due = |since: u64| self.clock.now_ns().saturating_sub(since) >= FLUSH_NS;
        if self.pending_since.is_some_and(due) {
            self.log.flush().map_err(|source| self.failed(source))?;
            self.pending_since = None;
        }
        Ok(())
    }

    /// Writes the index and closes the file.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn finish(mut self) -> Result<(), JournalError> {
        let finished = self.log.finish();
        finished.map(|_| ()).map_err(|source| self.failed(source))
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
        JournalError::Write {
            path: self.path.clone(),
            source,
        }
    }
}
