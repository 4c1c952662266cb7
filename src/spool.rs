//! The spool: a folder in which records wait that could not be appended, one pair of files each.
//!
//! `NAME.json` is a claim, `NAME.json.sig` its signature (`ssh-keygen -Y verify -n deploy-record-spool` checks them). The signature is
//! there before the claim, and a claim is removed before its signature, so that every claim that can be seen is whole. Whoever
//! works on a claim locks its file; the lock goes with the process.

use std::ffi::OsStr;
use std::fs::{File, Metadata, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The most that is read of one file, in bytes; no claim and no signature is longer.
const LARGEST_FILE: u64 = 1024 * 1024;

/// How the name of a file begins that is being written.
const UNFINISHED: &str = ".writing-";

/// How old a part of a claim is at least before it is taken for abandoned.
const LEFTOVER: Duration = Duration::from_secs(60 * 60);

/// How the name of a note ends.
const NOTE: &str = ".started";

/// The folder beside the claims for those that nobody will replay, and how the name of a reason for that ends.
const ASIDE: &str = "set-aside";
const REASON: &str = ".reason";

/// A folder with claims.
#[derive(Debug, Clone)]
pub struct Spool {
    directory: PathBuf,
    is_there: bool,
}

/// A claim in the spool, locked as long as this value lives.
#[derive(Debug)]
pub struct Held {
    path: PathBuf,
    file: File,
}

/// Why a claim can't be held.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// Another process works on it.
    #[error("another process is working on it")]
    Busy,
    /// It is gone, or can't be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Spool {
    /// The spool in this folder, which is made when something is put there.
    pub fn at(directory: PathBuf) -> Self {
        Spool { directory, is_there: true }
    }

    /// No spool: nothing waits there, and nothing can be put there.
    pub fn nowhere() -> Self {
        Spool { directory: PathBuf::new(), is_there: false }
    }

    fn make(&self) -> io::Result<()> {
        if !self.is_there {
            return Err(io::Error::other("HOME is not set, so there is no place for records that can't be appended at once"));
        }
        std::fs::create_dir_all(&self.directory)
    }

    /// Its folder.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Puts a claim there and holds it.
    ///
    /// # Errors
    /// Where the folder can't be made or written to, or the disk is full: then nothing is left of the claim.
    pub fn put(&self, name: &str, claim: &[u8], signature: &str) -> io::Result<Held> {
        self.make()?;
        let path = self.directory.join(format!("{name}.json"));
        let beside = signature_of(&path);
        self.place(&beside, signature.as_bytes())?;
        let file = self.place(&path, claim).inspect_err(|_| drop(std::fs::remove_file(&beside)))?;
        Ok(Held { path, file })
    }

    /// The claims that wait there, in the order of their names; none where there is no such folder.
    ///
    /// # Errors
    /// Where the folder can't be read.
    pub fn waiting(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match std::fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let paths = entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<Vec<_>>>()?;
        let is_claim = |path: &PathBuf| path.extension() == Some(OsStr::new("json")) && path.is_file();
        let mut claims: Vec<_> = paths.into_iter().filter(is_claim).collect();
        claims.sort();
        Ok(claims)
    }

    /// The folder of the claims that were set aside, and how many there are.
    pub fn set_aside(&self) -> (PathBuf, usize) {
        let aside = Spool::at(self.directory.join(ASIDE));
        let claims = aside.waiting().map_or(0, |claims| claims.len());
        (aside.directory, claims)
    }

    /// Removes what is left of claims whose process was killed while it put one there, or took one away.
    pub fn clear_leftovers(&self) {
        for entry in std::fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let path = entry.path();
            let is_unfinished = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
            let is_lonely = path.extension() == Some(OsStr::new("sig")) && !path.with_extension("").exists();
            if (is_unfinished || is_lonely) && is_old_file(&path) {
                // what can't be removed is in nobody's way
                let _ = std::fs::remove_file(&path);
            }
        }
    }

    /// Leaves a note of a start that is in the log, so that its end can be told apart while the log can't be reached.
    ///
    /// # Errors
    /// As [`Spool::put`].
    pub fn note_start(&self, seq: u64, record: &[u8]) -> io::Result<()> {
        self.make()?;
        self.place(&self.note(seq), record).map(drop)
    }

    /// The starts of which there are notes: number and record.
    pub fn noted_starts(&self) -> Vec<(u64, Vec<u8>)> {
        let entries = std::fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let note = |path: PathBuf| {
            let seq = path.file_name()?.to_str()?.strip_suffix(NOTE)?.parse().ok()?;
            Some((seq, read(&path).ok()?))
        };
        entries.filter_map(|entry| note(entry.path())).collect()
    }

    /// Removes the note of a start whose end was recorded.
    pub fn forget_start(&self, seq: u64) {
        // one that stays names a start that is not open any more
        let _ = std::fs::remove_file(self.note(seq));
    }

    fn note(&self, seq: u64) -> PathBuf {
        self.directory.join(format!("{seq}{NOTE}"))
    }

    /// Writes a file beside its place, locks it, and moves it there, so that nobody sees half of it or takes it for abandoned.
    fn place(&self, path: &Path, content: &[u8]) -> io::Result<File> {
        let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.directory)?;
        file.write_all(content)?;
        file.as_file().lock()?;
        file.persist(path).map_err(|error| error.error)
    }
}

impl Held {
    /// Holds a claim that waits.
    ///
    /// # Errors
    /// Where another process holds it, or it is gone.
    pub fn take(path: &Path) -> Result<Held, HoldError> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(HoldError::Busy),
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
        // whoever held it until now may have removed it
        std::fs::metadata(path)?;
        Ok(Held { path: path.to_owned(), file })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The claim's bytes and its signature.
    ///
    /// # Errors
    /// As [`look_at`].
    pub fn read(&self) -> io::Result<(Vec<u8>, String)> {
        look_at(&self.path)
    }

    /// Makes sure that it outlives a crash of the machine.
    ///
    /// # Errors
    /// Where the disk says no.
    pub fn sync(&self) -> io::Result<()> {
        self.file.sync_all()?;
        File::open(signature_of(&self.path))?.sync_all()?;
        match self.path.parent() {
            Some(directory) => File::open(directory)?.sync_all(),
            None => Ok(()),
        }
    }

    /// Sets it aside with the reason for that: it does not wait any more, and is kept. Gives where it is now.
    ///
    /// # Errors
    /// Where that can't be done; then it still waits.
    pub fn set_aside(self, reason: &str) -> io::Result<PathBuf> {
        let (Some(directory), Some(name)) = (self.path.parent(), self.path.file_name()) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let aside = directory.join(ASIDE);
        std::fs::create_dir_all(&aside)?;
        let to = aside.join(name);
        std::fs::write(beside(&to, REASON), format!("{reason}\n"))?;
        match std::fs::copy(signature_of(&self.path), signature_of(&to)) {
            // a claim without its signature can be set aside, too
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => std::fs::rename(&self.path, &to)?,
        }
        // one that stays is cleared away as a part of a claim
        let _ = std::fs::remove_file(signature_of(&self.path));
        Ok(to)
    }

    /// Removes it: its record is in the log.
    ///
    /// # Errors
    /// Where that can't be done; then it is found to be in the log when it is replayed.
    pub fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)?;
        std::fs::remove_file(signature_of(&self.path))
    }
}

/// The bytes of a claim and its signature, whoever holds it.
///
/// # Errors
/// Where one of the two can't be read.
pub fn look_at(claim: &Path) -> io::Result<(Vec<u8>, String)> {
    let signature = String::from_utf8(read(&signature_of(claim))?);
    Ok((read(claim)?, signature.map_err(|_| io::Error::other("its signature is no text"))?))
}

/// A file's bytes, up to the most that one has.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(LARGEST_FILE).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn open(path: &Path) -> io::Result<File> {
    // a pipe would wait for a writer for ever
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::other(format!("`{}` is no file", path.display())));
    }
    File::open(path)
}

fn is_old_file(path: &Path) -> bool {
    let metadata = path.symlink_metadata().ok().filter(Metadata::is_file);
    metadata.and_then(|metadata| metadata.modified().ok()?.elapsed().ok()).is_some_and(|age| age >= LEFTOVER)
}

fn signature_of(claim: &Path) -> PathBuf {
    beside(claim, ".sig")
}

fn beside(claim: &Path, ending: &str) -> PathBuf {
    let mut path = claim.to_path_buf().into_os_string();
    path.push(ending);
    path.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_there_as_a_whole_and_is_held_by_one() {
        let directory = tempfile::tempdir().expect("a folder");
        let spool = Spool::at(directory.path().join("a/b"));
        assert!(spool.waiting().expect("none").is_empty());
        let held = spool.put("2", b"{}", "sig").expect("put");
        drop(spool.put("1", b"[]", "other").expect("put"));
        let waiting = spool.waiting().expect("two");
        assert_eq!(waiting.iter().map(|path| path.file_name().expect("a name")).collect::<Vec<_>>(), ["1.json", "2.json"]);
        assert!(matches!(Held::take(&waiting[1]), Err(HoldError::Busy)));
        drop(held);
        let held = Held::take(&waiting[1]).expect("free again");
        assert_eq!(held.read().expect("both"), (b"{}".to_vec(), "sig".to_owned()));
        held.sync().expect("synced");
        held.remove().expect("removed");
        assert!(matches!(Held::take(&waiting[1]), Err(HoldError::Io(_))));
        assert_eq!(std::fs::read_dir(spool.directory()).expect("a folder").count(), 2);
    }

    #[test]
    fn a_start_is_noted_until_its_end() {
        let directory = tempfile::tempdir().expect("a folder");
        let spool = Spool::at(directory.path().join("a"));
        assert!(spool.noted_starts().is_empty());
        spool.note_start(7, b"record").expect("noted");
        assert_eq!(spool.noted_starts(), [(7, b"record".to_vec())]);
        assert!(spool.waiting().expect("a folder").is_empty());
        spool.forget_start(7);
        assert!(spool.noted_starts().is_empty());
    }

    #[test]
    fn what_can_not_be_written_leaves_nothing() {
        let directory = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(directory.path().join("1.json")).expect("something in the way");
        let spool = Spool::at(directory.path().to_path_buf());
        spool.put("1", b"{}", "sig").expect_err("no place");
        assert_eq!(std::fs::read_dir(directory.path()).expect("a folder").count(), 1);
        Spool::at(directory.path().join("1.json.sig/x")).put("1", b"", "").expect("a folder of that name");
    }
}
