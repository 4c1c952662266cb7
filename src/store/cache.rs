//! A copy of a remote log on this machine, so that readers fetch only what is new, and can go on where the server can't be
//! reached.
//!
//! Its folder holds a bare repository, which may be thrown away at any time, and notes: when it was refreshed, and the newest
//! record that this machine has ever seen there, by which a log that was rewound or replaced is known. One process at a time
//! uses it. Nothing in it is believed without the checks that a log from the server goes through.

use crate::core::record::CommitId;
use chrono::{DateTime, SecondsFormat, Utc};
use git2::{Oid, Repository};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long another process that uses the copy is waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(2);

/// Keeps the newest commit that was ever seen, and all before it.
const SEEN: &str = "refs/deploy-record/seen";
/// Keeps the newest commit whose history is here down to the first record.
const WHOLE: &str = "refs/deploy-record/whole";

/// The folder of one log's copy, as long as this process uses it.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    _lock: File,
}

/// The newest record that was ever seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its commit.
    pub commit: CommitId,
    /// Its number.
    pub seq: u64,
}

impl Cache {
    /// Takes the folder, which is made if need be, for this process.
    ///
    /// # Errors
    /// Where it can't be written to, or another process keeps using it.
    pub fn open(folder: &Path) -> io::Result<Cache> {
        fs::create_dir_all(folder)?;
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(folder.join("lock"))?;
        let begin = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(Cache { folder: folder.to_owned(), _lock: lock }),
                Err(TryLockError::WouldBlock) if begin.elapsed() < LONGEST_WAIT => sleep(Duration::from_millis(20)),
                Err(TryLockError::WouldBlock) => return Err(io::Error::other("another process uses it")),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The repository; one that can't be opened is made anew.
    pub(super) fn repository(&self) -> Result<Repository, git2::Error> {
        let path = self.folder.join("repository");
        match Repository::open_bare(&path) {
            Ok(repository) if !self.has_left_locks() && self.has_sound_boundary() => Ok(repository),
            _ => self.renew(),
        }
    }

    /// Throws the repository away and makes another; what was noted stays.
    pub(super) fn renew(&self) -> Result<Repository, git2::Error> {
        let path = self.folder.join("repository");
        let failed = |error: io::Error| git2::Error::from_str(&error.to_string());
        match fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
        Repository::init_bare(&path)
    }

    /// Whether a process that was killed left a lock of git's behind; while we hold ours, nobody else has one.
    fn has_left_locks(&self) -> bool {
        let places = ["repository", "repository/refs/heads", "repository/refs/deploy-record"];
        let files = places.iter().filter_map(|place| fs::read_dir(self.folder.join(place)).ok()).flatten().flatten();
        files.into_iter().any(|file| file.path().extension().is_some_and(|extension| extension == "lock"))
    }

    /// Whether the file is one that says where the history ends here: libgit2 fetches nothing with another.
    fn has_sound_boundary(&self) -> bool {
        match fs::read_to_string(self.folder.join("repository/shallow")) {
            Ok(text) => text.lines().all(|line| CommitId::new(line).is_ok()),
            Err(error) => error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// The newest record that was ever seen.
    pub fn seen(&self) -> Option<Seen> {
        let text = self.note("seen")?;
        let (commit, seq) = text.trim().split_once(' ')?;
        Some(Seen { commit: CommitId::new(commit).ok()?, seq: seq.parse().ok()? })
    }

    pub(super) fn note_seen(&self, repository: &Repository, seen: &Seen) {
        self.keep("seen", &format!("{} {}\n", seen.commit, seen.seq));
        point(repository, SEEN, &seen.commit);
    }

    /// The newest commit whose history is here as a whole, and when it was fetched.
    pub(super) fn whole(&self, repository: &Repository) -> Option<(Oid, DateTime<Utc>)> {
        Some((repository.refname_to_id(WHOLE).ok()?, self.time("whole")?))
    }

    pub(super) fn note_whole(&self, repository: &Repository, commit: &CommitId) {
        self.keep("whole", &now());
        point(repository, WHOLE, commit);
    }

    /// When the tip was fetched.
    pub(super) fn refreshed(&self) -> Option<DateTime<Utc>> {
        self.time("refreshed")
    }

    pub(super) fn note_refreshed(&self) {
        self.keep("refreshed", &now());
    }

    fn time(&self, name: &str) -> Option<DateTime<Utc>> {
        DateTime::parse_from_rfc3339(self.note(name)?.trim()).ok().map(|time| time.to_utc())
    }

    fn note(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(name)).ok()
    }

    /// Writes a note in one piece. One that can't be written is missed only when it is looked for.
    fn keep(&self, name: &str, text: &str) {
        let written = tempfile::NamedTempFile::new_in(&self.folder).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.persist(self.folder.join(name)).map_err(|error| error.error)
        });
        drop(written);
    }
}

fn point(repository: &Repository, name: &str, commit: &CommitId) {
    if let Ok(id) = Oid::from_str(commit.as_str()) {
        // only what is still to be fetched depends on it
        repository.reference(name, id, true, "deploy-record: seen").ok();
    }
}

fn now() -> String {
    Utc::now().to_rfc3339_opts(SecondsFormat::Secs, true)
}
