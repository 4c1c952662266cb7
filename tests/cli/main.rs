//! The program from outside: real git, real ssh-keygen, a real git server.

mod agent;
mod annotate;
mod cache;
mod capture;
mod credentials;
mod docs;
mod faults;
mod kills;
mod layers;
mod listing;
mod local;
mod proxy;
mod races;
mod recorder;
mod recover;
mod remote;
mod run_command;
mod signatures;
mod spool;
mod ssh;
mod start_finish;
mod status;
mod support;
mod tampering;
mod terminal;
