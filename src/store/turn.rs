//! Our own turn at a branch on this machine, so that git's lock of it can be told for what it is when one of us is killed.
//!
//! The branch itself is guarded by git's own lock file, which a killed process leaves behind. A lock of ours goes with the
//! process; the note in its file says what was being published, so that whoever is next knows the killed one's lock by it.

use git2::{Oid, Repository};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long somebody else's turn is waited for. It only tidies up: without it, the branch is as safe.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long a lock of git's has been there at least before it counts as left behind: git itself holds one for an instant.
const SETTLED: Duration = Duration::from_secs(2);

/// A turn, which ends with this value.
pub(super) struct Turn {
    file: File,
    is_noted: bool,
}

impl Turn {
    /// Waits for a turn and removes the lock that a killed one of us left on this branch; `None` where there are no turns to be
    /// had, as in a folder that belongs to somebody else.
    pub(super) fn take(repository: &Repository, reference: &str, commit: Oid) -> Option<Turn> {
        let directory = repository.commondir().join("deploy-record");
        std::fs::create_dir_all(&directory).ok()?;
        let path = directory.join("publishing");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).ok()?;
        wait(&file).ok()?;
        let mut note = String::new();
        (&file).take(1024).read_to_string(&mut note).ok()?;
        if !note.is_empty() && !is_over(repository.commondir(), &note) {
            return Some(Turn { file, is_noted: false });
        }
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{reference} {commit}")).ok()?;
        Some(Turn { file, is_noted: true })
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.is_noted {
            // a note that stays names a lock that is not there
            let _ = self.file.set_len(0);
        }
    }
}

fn wait(file: &File) -> io::Result<()> {
    let begin = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if begin.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// Whether nothing is left of a publication that was killed: its lock is not there, or could be removed.
fn is_over(directory: &Path, note: &str) -> bool {
    let Some((reference, commit)) = note.split_once(' ') else { return true };
    if !git2::Reference::is_valid_name(reference) {
        return true;
    }
    let lock = PathBuf::from(format!("{}.lock", directory.join(reference).display()));
    let Ok(metadata) = lock.symlink_metadata() else { return true };
    let is_settled = metadata.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= SETTLED));
    // killed before or after it wrote the commit's id there
    let is_ours = metadata.len() == 0
        || (metadata.len() < 100 && std::fs::read_to_string(&lock).is_ok_and(|content| content.trim_end() == commit));
    !is_ours || (is_settled && std::fs::remove_file(&lock).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const BRANCH: &str = "refs/heads/log";

    struct Killed {
        _folder: tempfile::TempDir,
        repository: Repository,
        lock: PathBuf,
    }

    /// A repository in which one was killed that published `1111…`, and a lock with this content.
    fn killed(content: &str, is_settled: bool) -> Killed {
        let folder = tempfile::tempdir().expect("a folder");
        let repository = Repository::init_bare(folder.path()).expect("a repository");
        let note = Turn::take(&repository, BRANCH, oid('1')).expect("a turn");
        let lock = folder.path().join("refs/heads/log.lock");
        let path = folder.path().join("deploy-record/publishing");
        let text = std::fs::read_to_string(&path).expect("a note");
        drop(note);
        std::fs::remove_file(&path).expect("the held file is gone");
        std::fs::write(&path, text).expect("the note stays");
        std::fs::write(&lock, content).expect("a lock");
        if is_settled {
            let before = std::time::SystemTime::now() - 2 * SETTLED;
            File::open(&lock).expect("a lock").set_modified(before).expect("its time");
        }
        Killed { _folder: folder, repository, lock }
    }

    fn oid(digit: char) -> Oid {
        Oid::from_str(&digit.to_string().repeat(40)).expect("an id")
    }

    fn is_cleared(killed: &Killed) -> bool {
        drop(Turn::take(&killed.repository, BRANCH, oid('2')).expect("a turn"));
        !killed.lock.exists()
    }

    #[test]
    fn the_lock_of_one_that_was_killed_is_removed_and_no_other() {
        assert!(is_cleared(&killed("", true)));
        assert!(is_cleared(&killed(&format!("{}\n", oid('1')), true)));
        assert!(!is_cleared(&killed(&format!("{}\n", oid('3')), true)), "another's");
        let fresh = killed("", false);
        assert!(!is_cleared(&fresh), "it may be git's, at work");
        File::open(&fresh.lock).expect("a lock").set_modified(std::time::SystemTime::UNIX_EPOCH).expect("its time");
        assert!(is_cleared(&fresh), "the note was kept for later");
        std::fs::write(&fresh.lock, "").expect("a lock");
        File::open(&fresh.lock).expect("a lock").set_modified(std::time::SystemTime::UNIX_EPOCH).expect("its time");
        assert!(!is_cleared(&fresh), "nobody of us was killed since");
    }
}
