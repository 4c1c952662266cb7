//! The `deploy-record` program.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    deploy_record::store::set_allocator();
    ExitCode::from(deploy_record::cli::main(std::env::args_os(), std::env::vars_os()))
}
