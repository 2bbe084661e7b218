//! The same objects give the same bytes, in whatever order they come.

use std::{fs, path::Path};

use turnpike_bundle::{Objects, render, shard};

use crate::manifests;

#[test]
fn the_order_of_the_input_does_not_matter() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    for case in fs::read_dir(&golden).unwrap() {
        let case = case.unwrap().path();
        let (objects, settings) = manifests::read(&fs::read_to_string(case.join("in.yaml")).unwrap());
        let expected = render(&objects, &settings);
        for turn in 1..4 {
            let turned = render(&turned(&objects, turn), &settings);
            let bytes = |contents| shard(contents, None, 1);
            assert_eq!(bytes(&turned.contents), bytes(&expected.contents), "{}", case.display());
            assert_eq!(turned.problems, expected.problems, "{}", case.display());
            assert_eq!(turned.warnings, expected.warnings, "{}", case.display());
        }
    }
}

fn turned(objects: &Objects, by: usize) -> Objects {
    let mut turned = objects.clone();
    turned.models.reverse();
    turned.keys.reverse();
    turned.budgets.reverse();
    let models = turned.models.len().max(1);
    turned.models.rotate_left(by % models);
    let keys = turned.keys.len().max(1);
    turned.keys.rotate_left(by % keys);
    turned
}
