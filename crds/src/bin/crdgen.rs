//! Writes what the chart takes from this crate: `crdgen CHART`. The CRDs, and for `kubectl` the fields that have no effect yet. Run
//! by `make generate`.

use std::{env, error::Error, fs, path::Path};

fn main() -> Result<(), Box<dyn Error>> {
    let chart = env::args().nth(1).ok_or("usage: crdgen CHART")?;
    let chart = Path::new(&chart);
    for folder in ["crds", "files"] {
        fs::create_dir_all(chart.join(folder))?;
    }
    for (name, contents) in turnpike_crds::render::files()? {
        fs::write(chart.join("crds").join(name), contents)?;
    }
    fs::write(chart.join("files/not-yet.yaml"), turnpike_crds::not_yet::policy::file())?;
    Ok(())
}
