//! Has the linker put the functions that run when requests are served next to each other (docs/performance.md).
#![expect(clippy::disallowed_methods, reason = "Cargo tells a build script everything by variables")]

use std::{env, error::Error, fmt::Write, fs, path::PathBuf};

/// The names, of which `bench/run functions` finds those that run.
const NAMES: &str = "functions.txt";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={NAMES}");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    // GNU ld and LLD, of which rustc takes one by itself, know this form of a script; another one, chosen by a user, may not.
    let chosen = env::var_os("RUSTC_LINKER").is_some()
        || env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| flags.contains("link"));
    if !is("PROFILE", "release") || !is("CARGO_CFG_TARGET_OS", "linux") || chosen {
        return Ok(());
    }
    let mut text = String::from("SECTIONS { .text.served : {\n");
    for name in fs::read_to_string(NAMES)?.lines().filter(|line| !line.starts_with('#')) {
        writeln!(text, "*(.text.{name} .text.hot.{name} .text.unlikely.{name})")?;
    }
    text.push_str("} }\nINSERT BEFORE .text;\n");
    // Beside what is built, as that may outlive this checkout.
    let script = PathBuf::from(env::var("OUT_DIR")?).join("functions.ld");
    fs::write(&script, text)?;
    println!("cargo::rustc-link-arg-bins=-T{}", script.display());
    Ok(())
}
