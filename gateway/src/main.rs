//! The `turnpike-gateway` command.

use std::process::ExitCode;

use turnpike_gateway::{args::Args, run};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match run::run(Args::read()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The log may not be set up yet, and whoever started us looks here.
            eprintln!("turnpike-gateway: {error:#}");
            ExitCode::FAILURE
        }
    }
}
