//! The `turnpike-operator` command.

use std::process::ExitCode;

use turnpike_operator::{args::Args, run};

fn main() -> ExitCode {
    match run::run(&Args::read()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The log may not be set up yet, and whoever started us looks here.
            eprintln!("turnpike-operator: {:#}", anyhow::Error::new(error));
            ExitCode::FAILURE
        }
    }
}
