//! Writes the CRDs as YAML into a folder: `crdgen DIR`. Run by `make generate`.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = env::args().nth(1).ok_or("usage: crdgen DIR")?;
    fs::create_dir_all(&folder)?;
    for (name, contents) in turnpike_crds::render::files()? {
        fs::write(Path::new(&folder).join(name), contents)?;
    }
    Ok(())
}
