//! Writes the operator's rights as YAML into a file: `rbacgen FILE`. Run by `make generate`.

use std::{env, error::Error, fs};

fn main() -> Result<(), Box<dyn Error>> {
    let file = env::args().nth(1).ok_or("usage: rbacgen FILE")?;
    fs::write(file, turnpike_operator::rbac::render())?;
    Ok(())
}
