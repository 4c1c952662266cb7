//! The release log: one record, one commit.
//!
//! [`entry`] says what a commit of the branch must hold, [`message`] how its message reads, [`page`] what its README shows.

pub mod entry;
pub mod late;
pub mod message;
pub mod page;

pub use entry::{RawEntry, Trust, Verified};
