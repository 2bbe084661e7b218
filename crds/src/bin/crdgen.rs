//! Writes the CRDs into the chart: `crdgen CHART`. Run by `make generate`.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let chart = env::args().nth(1).ok_or("usage: crdgen CHART")?;
    let folder = Path::new(&chart).join("crds");
    fs::create_dir_all(&folder)?;
    for (name, contents) in turnpike_crds::render::files()? {
        fs::write(folder.join(name), contents)?;
    }
    Ok(())
}
