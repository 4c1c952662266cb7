//! Scratch folders: they go with the value, and those of killed processes go when a later one makes its own.

use std::fs::{File, Metadata};
use std::io;
use std::path::Path;
use std::sync::Once;
use std::time::Duration;
use tempfile::TempDir;

const PREFIX: &str = "deploy-record.";

/// How old a folder is at least that nobody holds before it is taken for abandoned: long enough to lock one that was just made.
const ABANDONED: Duration = Duration::from_secs(60 * 60);

/// A folder below TMPDIR, locked as long as this value lives.
#[derive(Debug)]
pub struct Scratch {
    directory: TempDir,
    _lock: Option<File>,
}

impl Scratch {
    /// Makes one; the first in a process clears away what killed ones left.
    ///
    /// # Errors
    /// Where the folder can't be made.
    pub fn make() -> io::Result<Scratch> {
        static CLEARED: Once = Once::new();
        let parent = std::env::temp_dir();
        CLEARED.call_once(|| clear_abandoned(&parent));
        let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&parent).map_err(|error| {
            let words = "no temporary folder can be made there; name a folder to write to in TMPDIR";
            io::Error::new(error.kind(), format!("`{}`: {words} ({error})", parent.display()))
        })?;
        // where folders can't be locked, none is ever taken for abandoned
        let lock = File::open(directory.path()).ok().filter(|file| file.try_lock().is_ok());
        Ok(Scratch { directory, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }
}

/// Removes this user's own scratch folders whose process is gone. What can't be removed stays.
fn clear_abandoned(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let is_scratch = entry.file_name().to_string_lossy().starts_with(PREFIX);
        // of the entry itself: a link is no folder
        let Some(metadata) = entry.metadata().ok().filter(|metadata| is_scratch && metadata.is_dir()) else { continue };
        if !is_own(&metadata) || !is_old(&metadata) {
            continue;
        }
        if let Some(lock) = File::open(entry.path()).ok().filter(|file| file.try_lock().is_ok()) {
            let _ = std::fs::remove_dir_all(entry.path());
            drop(lock);
        }
    }
}

fn is_old(metadata: &Metadata) -> bool {
    metadata.modified().is_ok_and(|at| at.elapsed().is_ok_and(|age| age >= ABANDONED))
}

#[cfg(unix)]
fn is_own(metadata: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    metadata.uid() == rustix::process::geteuid().as_raw()
}

#[cfg(not(unix))]
fn is_own(_: &Metadata) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn make_old(path: &Path) {
        let before = SystemTime::now() - 2 * ABANDONED;
        File::open(path).expect("a folder").set_modified(before).expect("its time");
    }

    #[test]
    fn only_what_is_abandoned_is_cleared_away() {
        let parent = tempfile::tempdir().expect("a folder");
        let folder = |name: &str| {
            let path = parent.path().join(name);
            std::fs::create_dir_all(path.join("objects")).expect("a folder");
            path
        };
        let (abandoned, held, new, foreign) =
            (folder("deploy-record.a"), folder("deploy-record.b"), folder("deploy-record.c"), folder("other.d"));
        std::os::unix::fs::symlink(&foreign, parent.path().join("deploy-record.e")).expect("a link");
        let lock = File::open(&held).expect("a folder");
        lock.try_lock().expect("locked");
        for path in [&abandoned, &held, &foreign] {
            make_old(path);
        }
        clear_abandoned(parent.path());
        assert!(!abandoned.exists());
        assert!(held.exists() && new.exists() && foreign.join("objects").exists());
        drop(lock);
        clear_abandoned(parent.path());
        assert!(!held.exists());
    }
}
