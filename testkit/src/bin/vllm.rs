//! A vLLM look-alike: what the tests on a cluster run where a real engine would need a GPU. In its image `python3` is the same program.

use std::process::ExitCode;

use turnpike_testkit::engine;

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    match engine::run(&words).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{}", failure.message);
            ExitCode::from(failure.code)
        }
    }
}
