//! How much memory libgit2 may use for a log.

// These are settings of the whole process that libgit2 reads without a lock, so git2 marks them `unsafe`: they are made once,
// before a second thread reads.
#![allow(unsafe_code)]

use std::sync::Once;

/// Of a pack, so much is mapped at a time, in windows of this size: a long log's pack would count in full otherwise.
const MAPPED: usize = 64 * 1024 * 1024;
const WINDOW: usize = 1024 * 1024;

/// Keeps libgit2 from holding what is read only once.
pub(super) fn limit() -> Result<(), git2::Error> {
    static LIMITED: Once = Once::new();
    let mut limited = Ok(());
    LIMITED.call_once(|| {
        git2::opts::enable_caching(false);
        // SAFETY: the only call, before the threads that read a log begin.
        limited = unsafe { git2::opts::set_mwindow_size(WINDOW).and_then(|()| git2::opts::set_mwindow_mapped_limit(MAPPED)) };
    });
    limited
}
