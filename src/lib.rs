//! deploy-record: a deployment history that a GitLab team can prove.
//!
//! The library is there for the binary and its tests; it promises no stable interface.
//!
//! # Layers
//!
//! Arrows point down only, and a test holds the `use` lines against this page:
//!
//! ```text
//! cli                     one file per command: arguments, call, outcome; one table of exit codes
//! ui                      the only place that prints
//! recorder                the use case: fetch, link, seal, append, retry, spool
//! store · spool · repo · git · gitlab · http · keys · signer · command · scratch     one folder or file per outside thing
//! config · ci             text in, typed facts out
//! core                    record, seal, trust, state, verification, redaction: knows no world
//! ```

#![cfg_attr(test, recursion_limit = "256")] // the tests' full example of a record is one JSON literal

pub mod child;
pub mod ci;
pub mod cli;
pub mod command;
pub mod config;
pub mod core;
pub mod git;
pub mod gitlab;
pub mod http;
pub mod keys;
pub mod recorder;
pub mod repo;
pub mod scratch;
pub mod signer;
pub mod spool;
pub mod store;
pub mod ui;
