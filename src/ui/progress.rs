//! How far long work has come: a line on a terminal that the next one replaces, and that is gone at the end.

use super::print_message;
use anstream::{AutoStream, ColorChoice};
use std::cell::Cell;
use std::io::{self, IsTerminal};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Between two lines: faster than that nobody reads.
const PAUSE: Duration = Duration::from_millis(100);

/// Moves to the line's beginning and empties it (ECMA-48, EL).
const ERASE: &str = "\r\u{1b}[K";

/// Whether such a line stands on the terminal.
static STANDS: AtomicBool = AtomicBool::new(false);

/// What takes the line away, where one stands: it goes before whatever is printed next.
pub(super) fn erase() -> &'static str {
    if STANDS.swap(false, Ordering::Relaxed) { ERASE } else { "" }
}

/// A line that tells of progress; dropping it erases it, and so does every message. Where standard error is no terminal, or
/// takes no escapes, it is never seen.
pub struct Progress {
    is_shown: bool,
    last: Cell<Option<Instant>>,
}

impl Progress {
    pub(super) fn new() -> Self {
        let takes_escapes = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
        Progress { is_shown: io::stderr().is_terminal() && takes_escapes, last: Cell::new(None) }
    }

    /// Shows these words instead of those before, which must be ours and short.
    pub fn show(&self, words: &str) {
        if self.is_shown && self.last.get().is_none_or(|last| last.elapsed() >= PAUSE) {
            print_message(&format!("{words} …"));
            STANDS.store(true, Ordering::Relaxed);
            self.last.set(Some(Instant::now()));
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        print_message("");
    }
}
