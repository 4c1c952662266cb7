//! The `deploy-record` program.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::from(deploy_record::cli::main(std::env::args_os(), std::env::vars_os()))
}
