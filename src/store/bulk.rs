//! How libgit2 reads a whole log: how much memory it may use, and what it need not do again.

// These are settings of the whole process that libgit2 reads without a lock, so git2 marks them `unsafe`: they are made once,
// before a second thread reads.
#![allow(unsafe_code)]

use std::sync::Once;

/// Of a pack, so much is mapped at a time, in windows of this size: a long log's pack would count in full otherwise.
const MAPPED: usize = 32 * 1024 * 1024;
const WINDOW: usize = 256 * 1024;

/// Keeps libgit2 from holding what is read only once, and from hashing what is hashed otherwise.
pub(super) fn read_in_bulk() -> Result<(), git2::Error> {
    static SET: Once = Once::new();
    let mut set = Ok(());
    SET.call_once(|| {
        git2::opts::enable_caching(false);
        // What a fetch brings is held against its ids once, when it comes. Here each record is held against its signature and
        // against the digest that the record after it has of it.
        git2::opts::strict_hash_verification(false);
        // SAFETY: the only call, before the threads that read a log begin.
        set = unsafe { git2::opts::set_mwindow_size(WINDOW).and_then(|()| git2::opts::set_mwindow_mapped_limit(MAPPED)) };
    });
    set
}
