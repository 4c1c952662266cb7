//! The `deploy-record` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(deploy_record::cli::main(std::env::args_os(), std::env::vars_os()))
}
