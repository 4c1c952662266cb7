//! How much memory libgit2 may take for one object: what is too large is not loaded at all.
//!
//! To ask how large an object is costs about as much as to read it, since git keeps most objects as differences from others. So
//! libgit2 reads at once, and its allocator says no: an object, each that it is a difference from, and each difference take one
//! piece of memory, whose size libgit2 knows beforehand.

// libgit2 takes its allocator as C functions, for the whole process, and git2 has no safe call for that.
#![allow(unsafe_code)]

use libmimalloc_sys::{mi_free, mi_malloc, mi_realloc};
use std::cell::Cell;
use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

/// libgit2's `git_allocator` (git2/sys/alloc.h).
#[repr(C)]
struct Allocator {
    malloc: extern "C" fn(usize, *const c_char, c_int) -> *mut c_void,
    realloc: extern "C" fn(*mut c_void, usize, *const c_char, c_int) -> *mut c_void,
    free: extern "C" fn(*mut c_void),
}

/// What a piece that grows may take in any case. Libgit2's tables grow, too, and not everywhere does it look whether they could.
const LARGEST_TABLE: usize = 64 * 1024 * 1024;

static IS_SET: AtomicBool = AtomicBool::new(false);

/// How much this thread may take in one piece.
#[derive(Clone, Copy)]
struct Limits {
    new: usize,
    grown: usize,
}

const NONE: Limits = Limits { new: usize::MAX, grown: usize::MAX };

thread_local! {
    static LIMITS: Cell<Limits> = const { Cell::new(NONE) };
    static HAS_REFUSED: Cell<bool> = const { Cell::new(false) };
}

/// Gives libgit2 the allocator: Rust's own of the program, which also is faster in threads than the C library's may be. To be
/// called before anything else is asked of libgit2, since what one allocator gave no other can take back; where it never is,
/// only the sizes of objects are asked for first.
pub fn set_allocator() {
    let allocator = Allocator { malloc, realloc, free };
    // SAFETY: libgit2 copies the three functions, which are as its header declares them. It has not been used: the program does
    // this first of all, in its only thread, and once.
    let answer =
        unsafe { libgit2_sys::git_libgit2_opts(libgit2_sys::GIT_OPT_SET_ALLOCATOR as c_int, std::ptr::from_ref(&allocator)) };
    IS_SET.store(answer == 0, Ordering::Relaxed);
}

/// Whether [`within`] refuses anything.
pub(super) fn is_limited() -> bool {
    IS_SET.load(Ordering::Relaxed)
}

/// Does this while libgit2 gets at most so many bytes in one piece in this thread; `None` where that was too little.
pub(super) fn within<T, E>(most: usize, work: impl FnOnce() -> Result<T, E>) -> Option<Result<T, E>> {
    HAS_REFUSED.set(false);
    let limited = Limited(LIMITS.replace(Limits { new: most, grown: most.max(LARGEST_TABLE) }));
    let result = work();
    drop(limited);
    if result.is_err() && HAS_REFUSED.get() { None } else { Some(result) }
}

/// Gives a thread its limits back.
struct Limited(Limits);

impl Drop for Limited {
    fn drop(&mut self) {
        LIMITS.set(self.0);
    }
}

fn refuses(size: usize, limit: fn(Limits) -> usize) -> bool {
    let is_refused = size > limit(LIMITS.get());
    if is_refused {
        HAS_REFUSED.set(true);
    }
    is_refused
}

extern "C" fn malloc(size: usize, _file: *const c_char, _line: c_int) -> *mut c_void {
    if refuses(size, |limits| limits.new) {
        return null_mut();
    }
    // SAFETY: any size will do.
    unsafe { mi_malloc(size) }
}

extern "C" fn realloc(piece: *mut c_void, size: usize, _file: *const c_char, _line: c_int) -> *mut c_void {
    if refuses(size, |limits| limits.grown) {
        return null_mut();
    }
    // SAFETY: libgit2 gives back only what it got here, or null.
    unsafe { mi_realloc(piece, size) }
}

extern "C" fn free(piece: *mut c_void) {
    // SAFETY: as above.
    unsafe { mi_free(piece) }
}
