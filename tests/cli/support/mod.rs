//! What the tests stand on.

pub mod agent;
pub mod env;
pub mod git_server;
pub mod history;
pub mod proxy;
pub mod ssh_server;
