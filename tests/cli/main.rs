//! The program from outside: real git, real ssh-keygen, a real git server.

mod docs;
mod layers;
mod local;
mod remote;
mod run_command;
mod signatures;
mod support;
mod tampering;
