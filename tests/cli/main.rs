//! The program from outside: real git, real ssh-keygen, a real git server.

mod annotate;
mod capture;
mod docs;
mod layers;
mod listing;
mod local;
mod races;
mod recorder;
mod remote;
mod run_command;
mod signatures;
mod support;
mod tampering;
