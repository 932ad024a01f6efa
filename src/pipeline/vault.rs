//! Checkpoints of sensors' tracks in a folder: a process that is started again goes on warm.

use crate::recover::{Checkpoint, CheckpointError};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How often a track that goes on is kept, ns.
pub(super) const EVERY_NS: u64 = 1_000_000_000;
/// Checkpoints, each of another sensor, that may wait to be written while the sensors go on, and in all.
const WAITING: usize = 64;
const MOST_WAITING: usize = 256;
/// The longest that the end waits for those that are still to be written.
const FLUSH: Duration = Duration::from_secs(10);
/// The most checkpoints that a folder keeps: the oldest make way. Sensors of one server are fewer, but names may come and go.
const MOST: usize = 2048;
/// New files after which they are counted.
const COUNTED: usize = 64;
/// The longest file that is read, bytes.
const LONGEST: u64 = 256 << 20;
/// The longest part of a name that says which sensor's it is; what is longer is told by its checksum.
const LONGEST_NAME: usize = 150;
/// What files are called.
const SUFFIX: &str = ".checkpoint";

/// Keeps a checkpoint of each sensor, written by a thread of its own about once a second and when the sensor ends, each whole
/// or not at all: no frame waits for the disk. What a process before this one left is gone on from once, by the first track of
/// that sensor.
#[derive(Debug)]
pub struct Vault {
    folder: PathBuf,
    /// names that were asked for, as many as there may be files: a file of another is a process's before
    asked: Mutex<HashSet<String>>,
    waiting: Arc<Waiting>,
    /// tells the thread that writes of more, and hears when it has ended
    writer: Option<(Sender<()>, Receiver<()>)>,
}

/// Checkpoints to be written and the names of their files, the longest unwritten first: of each sensor the newest.
type Waiting = Mutex<VecDeque<(String, Checkpoint)>>;

impl Vault {
    /// Over a folder, which is made where it is not there.
    ///
    /// # Errors
    /// Where it cannot be made or read, or no thread is to be had.
    pub fn open(folder: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        prune(folder, MOST)?;
        let (more, told) = bounded::<()>(1);
        let (ended, ends) = bounded(0);
        let (to, waiting) = (folder.to_owned(), Arc::<Waiting>::default());
        let own = Arc::clone(&waiting);
        let write = move || {
            let _ended: Sender<()> = ended;
            let mut new = 0;
            while told.recv().is_ok() {
                let next = || lock(&own).pop_front();
                while let Some((name, checkpoint)) = next() {
                    let path = to.join(&name);
                    new += usize::from(!path.exists());
                    if let Err(error) = save(&path, &checkpoint) {
                        tracing::warn!(name, %error, "checkpoint not written");
                    }
                }
                if new >= COUNTED {
                    new = 0;
                    if let Err(error) = prune(&to, MOST) {
                        tracing::warn!(%error, "old checkpoints not removed");
                    }
                }
            }
        };
        let thread = std::thread::Builder::new().name("checkpoints".to_owned());
        thread.spawn(write)?;
        Ok(Self {
            folder: folder.to_owned(),
            asked: Mutex::default(),
            waiting,
            writer: Some((more, ends)),
        })
    }

    /// What a process before left of a sensor's track, the first time that it is asked for.
    pub(super) fn take(&self, sensor_id: &str) -> Option<Checkpoint> {
        let name = name_of(sensor_id);
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() == MOST || !asked.insert(name.clone()) {
            return None; // after so many, what is left is old
        }
        drop(asked);
        let path = self.folder.join(&name);
        if !path.exists() {
            return None;
        }
        let read = load(&path);
        if let Err(error) = &read {
            tracing::warn!(name, %error, "checkpoint not used");
        }
        read.ok()
    }

    /// Keeps a checkpoint, instead of one of the same sensor that is not written yet; where the disk is so slow that too many
    /// wait, it is given up. More may wait of sensors that have ended, whose `last` one this is.
    pub(super) fn keep(&self, sensor_id: &str, checkpoint: Checkpoint, last: bool) {
        let name = name_of(sensor_id);
        let most = if last { MOST_WAITING } else { WAITING };
        let mut waiting = lock(&self.waiting);
        match waiting.iter().position(|(other, _)| *other == name) {
            Some(at) => waiting[at].1 = checkpoint,
            None if waiting.len() < most => waiting.push_back((name, checkpoint)),
            None => tracing::warn!(name, "checkpoint given up: too many wait for the disk"),
        }
        drop(waiting);
        if let Some((more, _)) = &self.writer {
            let _ = more.try_send(()); // where it is told already, it looks at all
        }
    }
}

fn lock(waiting: &Waiting) -> MutexGuard<'_, VecDeque<(String, Checkpoint)>> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Vault {
    fn drop(&mut self) {
        let Some((more, ends)) = self.writer.take() else {
            return;
        };
        drop(more);
        if ends.recv_timeout(FLUSH) == Err(RecvTimeoutError::Timeout) {
            let left = lock(&self.waiting).len();
            tracing::error!(left, "checkpoints not written: the disk does not answer");
        }
    }
}

/// Removes all but the newest checkpoints of a folder, `most` of them.
fn prune(folder: &Path, most: usize) -> io::Result<()> {
    let mut files = vec![];
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().ends_with(SUFFIX) {
            files.push((entry.metadata()?.modified()?, entry.path()));
        }
    }
    files.sort_unstable();
    let old = files.len().saturating_sub(most);
    files[..old]
        .iter()
        .try_for_each(|(_, path)| std::fs::remove_file(path))
}

/// Letters, digits, `-` and `_` as they are, other bytes as %XX.
fn name_of(sensor_id: &str) -> String {
    let mut name = String::new();
    for byte in sensor_id.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    if name.len() > LONGEST_NAME {
        name.truncate(LONGEST_NAME);
        name.push_str(&format!("~{:08x}", crc32fast::hash(sensor_id.as_bytes())));
    }
    name + SUFFIX
}

fn load(path: &Path) -> Result<Checkpoint, Box<dyn std::error::Error>> {
    let size = std::fs::metadata(path)?.len();
    if size > LONGEST {
        return Err(format!("expected at most {LONGEST} bytes, found {size}").into());
    }
    Ok(Checkpoint::from_bytes(&std::fs::read(path)?)?)
}

fn save(path: &Path, checkpoint: &Checkpoint) -> Result<(), Box<dyn std::error::Error>> {
    let bytes = checkpoint
        .to_bytes()
        .map_err(|error: CheckpointError| error.to_string())?;
    let partial = path.with_extension("partial");
    std::fs::write(&partial, bytes)?;
    std::fs::rename(&partial, path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    #[test]
    fn names_are_files_of_the_folder_and_differ() {
        assert_eq!(name_of("front-1"), "front-1.checkpoint");
        assert_eq!(name_of("../x"), "%2E%2E%2Fx.checkpoint");
        let (a, b) = ("é".repeat(64), "é".repeat(63) + "è");
        assert!(name_of(&a) != name_of(&b) && name_of(&a).len() < 200);
    }

    #[test]
    fn the_oldest_make_way_and_other_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        for (age_s, name) in ["a", "b", "c", "d"].into_iter().enumerate() {
            let file = std::fs::File::create(at(&name_of(name))).unwrap();
            let written = SystemTime::now() - Duration::from_secs(age_s as u64);
            file.set_modified(written).unwrap();
        }
        std::fs::write(at("notes"), b"mine").unwrap();
        prune(folder.path(), 2).unwrap();
        let is_there = |name| at(name).exists();
        assert!(is_there("a.checkpoint") && is_there("b.checkpoint") && is_there("notes"));
        assert!(!is_there("c.checkpoint") && !is_there("d.checkpoint"));
    }

    #[test]
    fn what_is_no_checkpoint_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.checkpoint"), b"no").unwrap();
        let vault = Vault::open(folder.path()).unwrap();
        assert!(vault.take("a").is_none() && vault.take("b").is_none());
    }
}
