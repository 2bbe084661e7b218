//! The volume that the chart gives to gateways lists every part of the bundle, each from the object that holds it.

use std::{fs, path::Path};

use turnpike_bundle::layout;

#[test]
fn the_chart_mounts_every_part_and_nothing_else() {
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/turnpike/kustomize/turnpike.yaml");
    let text = fs::read_to_string(manifests).unwrap();
    let mut mounted: Vec<&str> = text.lines().map(str::trim).filter(|line| line.contains("turnpike-bundle-")).collect();
    let mut wanted: Vec<String> = layout::parts()
        .map(|(part, secret)| {
            let kind = if secret { "secret" } else { "configMap" };
            let name = layout::object_name("turnpike", &part);
            format!("- {kind}: {{name: {name}, optional: true, items: [{{key: {part}, path: {part}}}]}}")
        })
        .collect();
    mounted.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(mounted, wanted);
}
