//! The core knows no world: no files, environment, clock, network or terminal. `now` is an argument.

pub mod attempt;
pub mod checkpoint;
pub mod escape;
pub mod finding;
pub mod gate;
pub mod log;
pub mod nearest;
pub mod policy;
pub mod record;
pub mod redact;
pub mod reminder;
pub mod seal;
pub mod state;
pub mod time;
pub mod trust;
pub mod verify;
