//! The gate from outside: who is stopped, who is let through, and what is on record of it.

mod approvals;
mod evasions;
mod explain;
mod hostile;
mod overrides;
mod retry;
pub mod rig;
mod rollback;
mod services;
mod story;
mod words;
