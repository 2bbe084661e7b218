//! Two formats side by side: what each holds, that both are read, and that a change between them costs what differs.

use turnpike_bundle::{
    Bundle, Contents, Cutter, Manifest, State,
    manifest::{FORMAT, Kind, ManifestError, OLDEST},
    parse,
    parse::Reason,
};

use crate::sharding::{bytes, contents, endpoint};

fn cut(contents: &Contents, format: u32, previous: Option<&Manifest>, now: u64) -> Bundle {
    Cutter::default().cut(contents, format, previous, now)
}

/// The manifest and the shards that others may read, as text.
fn text(bundle: &Bundle) -> String {
    let open = bundle.shards.iter().filter(|shard| !shard.kind.is_secret());
    let shards = open.map(|shard| String::from_utf8(shard.bytes.clone()).unwrap());
    let manifest = String::from_utf8(bundle.manifest.to_bytes()).unwrap();
    std::iter::once(manifest).chain(shards).collect::<Vec<_>>().join("\n")
}

fn without_endpoints(contents: &Contents) -> Contents {
    Contents { endpoints: Vec::new(), ..contents.clone() }
}

#[test]
fn each_format_is_written_as_it_always_was() {
    let contents = contents(1, 3);
    insta::assert_snapshot!("format-1", text(&cut(&contents, 1, None, 1000)));
    insta::assert_snapshot!("format-2", text(&cut(&contents, 2, None, 1000)));
    assert_eq!((OLDEST, FORMAT), (1, 2));
}

#[test]
fn both_formats_are_read_and_differ_in_endpoints_alone() {
    let contents = contents(3, 10);
    for (format, expected) in [(1, without_endpoints(&contents)), (2, contents.clone())] {
        let bundle = cut(&contents, format, None, 1000);
        let parsed = parse(&bundle.manifest.to_bytes(), &bytes(&bundle), State::default());
        assert_eq!((parsed.rejections.len(), parsed.state.contents()), (0, &expected), "{format}");
        assert_eq!(parsed.state.hash(), Some(bundle.manifest.hash.as_str()), "{format}");
    }
}

#[test]
fn a_manifest_of_a_later_format_is_refused_and_so_is_one_that_lacks_what_its_format_has() {
    let contents = contents(1, 3);
    let refused = |manifest: Vec<u8>| Manifest::from_bytes(&manifest).unwrap_err();
    assert_eq!(refused(cut(&contents, 3, None, 1000).manifest.to_bytes()), ManifestError::Format(3));
    let mut bundle = cut(&contents, 2, None, 1000);
    bundle.manifest.shards.retain(|shard| shard.kind != Kind::Endpoints);
    let signed = crate::parsing::with_hashes_of(&bundle);
    assert_eq!(refused(signed), ManifestError::Coverage(Kind::Endpoints));
}

#[test]
fn another_format_costs_the_shards_that_it_adds_or_drops() {
    let contents = contents(3, 10);
    let first = cut(&contents, 1, None, 1000);
    let second = cut(&contents, 2, Some(&first.manifest), 2000);
    let (kept, added): (Vec<_>, Vec<_>) = second.shards.iter().partition(|shard| first.shards.contains(shard));
    assert_eq!(kept.len(), first.shards.len());
    assert_eq!(added.iter().map(|shard| shard.name.as_str()).collect::<Vec<_>>(), ["endpoints-00"]);
    let third = cut(&contents, 1, Some(&second.manifest), 3000);
    assert_eq!(third.shards, first.shards);
    assert_eq!((third.manifest.format, third.manifest.version), (1, 3000));

    // A gateway goes along, and forgets what the older format cannot say.
    let mut state = State::default();
    for bundle in [&first, &second, &third] {
        let parsed = parse(&bundle.manifest.to_bytes(), &bytes(bundle), state);
        assert_eq!((parsed.rejections.len(), parsed.changed), (0, bundle == &first), "{}", bundle.manifest.format);
        let expected = if bundle == &second { contents.clone() } else { without_endpoints(&contents) };
        assert_eq!(parsed.state.contents(), &expected);
        state = parsed.state;
    }
}

#[test]
fn other_endpoints_are_one_small_shard_and_no_other_content() {
    let mut contents = contents(200, 10);
    let first = cut(&contents, 2, None, 1000);
    contents.endpoints =
        vec![endpoint("engine", &["10.1.0.7", "10.1.0.8", "fd00::9"]), endpoint("other", &["10.1.0.9"])];
    let second = cut(&contents, 2, Some(&first.manifest), 2000);
    let changed: Vec<_> = second.shards.iter().filter(|shard| !first.shards.contains(shard)).collect();
    assert_eq!(changed.iter().map(|shard| shard.name.as_str()).collect::<Vec<_>>(), ["endpoints-00"]);
    assert!(changed[0].bytes.len() < 300, "{}", changed[0].bytes.len());
    let before = parse(&first.manifest.to_bytes(), &bytes(&first), State::default()).state;
    let parsed = parse(&second.manifest.to_bytes(), &bytes(&second), before);
    assert_eq!((parsed.rejections.len(), parsed.changed), (0, false), "they are hints");
    assert_eq!(parsed.state.contents(), &contents);
}

#[test]
fn a_torn_endpoint_shard_keeps_the_last_good_one_and_holds_up_nothing_else() {
    let mut contents = contents(3, 10);
    let first = cut(&contents, 2, None, 1000);
    let before = parse(&first.manifest.to_bytes(), &bytes(&first), State::default()).state;
    let old = contents.endpoints.clone();
    contents.endpoints = vec![endpoint("engine", &["10.1.0.8"])];
    contents.keys[0].suspended = true;
    let second = cut(&contents, 2, Some(&first.manifest), 2000);
    let mut shards = bytes(&second);
    let torn = shards.get_mut("endpoints-00").unwrap();
    torn.truncate(torn.len() / 2);
    let parsed = parse(&second.manifest.to_bytes(), &shards, before);
    let [rejection] = &parsed.rejections[..] else { panic!("{:?}", parsed.rejections) };
    assert_eq!((rejection.part.as_str(), &rejection.reason), ("endpoints-00", &Reason::Torn));
    assert_eq!(parsed.state.contents().keys, contents.keys);
    assert_eq!((&parsed.state.contents().endpoints, parsed.state.hash()), (&old, None));
    let parsed = parse(&second.manifest.to_bytes(), &bytes(&second), parsed.state);
    assert_eq!(parsed.state.contents(), &contents);
}
