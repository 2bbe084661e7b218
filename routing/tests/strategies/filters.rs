//! Who may serve: abilities, windows, limits, tags.

use turnpike_routing::{
    backend::Traits,
    features::Features,
    filter,
    group::{Group, Member, Strategy},
    plan::NoMember,
    set::Set,
};

use super::fixture::{at, group, member, with};

/// Those that may serve it.
type Able = Result<Vec<usize>, NoMember>;

fn able(members: &[Member], features: &Features) -> Able {
    let group = group(Strategy::Weighted, members.to_vec());
    filter::candidates(&group, features, &Set::default(), at(0.0)).map(|set| set.iter().collect())
}

fn needing(change: impl FnOnce(&mut Features)) -> Features {
    let mut features = Features::default();
    change(&mut features);
    features
}

#[test]
fn what_a_member_cannot_do_is_not_asked_of_it_and_what_is_not_known_is() {
    type Need = (&'static str, fn(&mut Features), fn(&mut Traits, Option<bool>));
    let cases: [Need; 4] = [
        ("vision", |it| it.vision = true, |it, can| it.vision = can),
        ("tools", |it| it.tools = true, |it, can| it.tools = can),
        ("jsonSchema", |it| it.json_schema = true, |it, can| it.json_schema = can),
        ("embeddings", |it| it.embeddings = true, |it, can| it.embeddings = can),
    ];
    for (name, need, can) in cases {
        let members = [Some(false), None, Some(true)].map(|known| with("m", |it| can(it, known)));
        assert_eq!(able(&members, &needing(need)), Ok(vec![1, 2]), "{name}");
        assert_eq!(able(&members, &Features::default()), Ok(vec![0, 1, 2]), "{name}");
        assert_eq!(able(&members[..1], &needing(need)), Err(NoMember::Capability(name)));
    }
}

#[test]
fn a_prompt_goes_where_it_fits() {
    let windows = [8_000, 32_000, 128_000].map(|window| with("m", |it| it.context_window = Some(window)));
    let prompt = |tokens| needing(|it| it.prompt_tokens = tokens);
    assert_eq!(able(&windows, &prompt(1000)), Ok(vec![0, 1, 2]));
    assert_eq!(able(&windows, &prompt(30_000)), Ok(vec![1, 2]));
    let with_answer = needing(|it| (it.prompt_tokens, it.output_tokens) = (30_000, Some(4_000)));
    assert_eq!(able(&windows, &with_answer), Ok(vec![2]));
    // An estimate alone refuses only what is far too large.
    assert_eq!(able(&windows, &prompt(150_000)), Ok(vec![2]));
    assert_eq!(able(&windows, &prompt(200_000)), Err(NoMember::ContextWindow(128_000)));
    let unknown = [windows[0].clone(), member("m", 1)];
    assert_eq!(able(&unknown, &prompt(200_000)), Ok(vec![1]));
    // More output than the model can give is cut, so it needs no room.
    let small =
        [with("m", |it| (it.context_window, it.max_output_tokens) = (Some(8_000), Some(1_000))), windows[2].clone()];
    assert_eq!(
        able(&small, &needing(|it| (it.prompt_tokens, it.output_tokens) = (6_000, Some(64_000)))),
        Ok(vec![0, 1])
    );
}

#[test]
fn a_backend_without_room_gives_way_to_one_that_has_some() {
    let pair = |change: fn(&mut Traits)| group(Strategy::Weighted, [with("a", change), member("b", 1)]);
    let asked = |group: &Group, prompt_tokens, seconds| {
        let features = needing(|it| it.prompt_tokens = prompt_tokens);
        let found = filter::candidates(group, &features, &Set::default(), at(seconds)).unwrap();
        found.iter().collect::<Vec<_>>()
    };
    let parallel = pair(|it| it.max_parallel = Some(2));
    let attempts = [0, 1].map(|_| parallel.members[0].live.begin(at(0.0), 0));
    assert_eq!(asked(&parallel, 0, 0.0), [1]);
    drop(attempts);
    assert_eq!(asked(&parallel, 0, 0.0), [0, 1]);

    let requests = pair(|it| it.rpm = Some(2));
    for second in [0.0, 10.0] {
        assert_eq!(asked(&requests, 0, second), [0, 1]);
        drop(requests.members[0].live.begin(at(second), 0));
    }
    assert_eq!(asked(&requests, 0, 59.0), [1]);
    assert_eq!(asked(&requests, 0, 66.0), [0, 1]);

    let tokens = pair(|it| it.tpm = Some(1000));
    assert_eq!(asked(&tokens, 5000, 0.0), [0, 1], "larger than the rate, but alone");
    drop(tokens.members[0].live.begin(at(0.0), 900));
    assert_eq!(asked(&tokens, 100, 0.0), [0, 1]);
    assert_eq!(asked(&tokens, 101, 0.0), [1]);
    assert_eq!(asked(&tokens, 101, 66.0), [0, 1]);
}

#[test]
fn where_nobody_has_room_the_accounts_of_the_limits_decide() {
    let full = group(Strategy::Weighted, [with("a", |it| it.max_parallel = Some(1))]);
    let _attempt = full.members[0].live.begin(at(0.0), 0);
    let found = filter::candidates(&full, &Features::default(), &Set::default(), at(0.0)).unwrap();
    assert!(found.contains(0));
}

#[test]
fn those_that_were_tried_are_left_out() {
    let group = group(Strategy::Weighted, [member("a", 1), member("b", 1)]);
    let tried: Set = [0].into_iter().collect();
    let left = filter::candidates(&group, &Features::default(), &tried, at(0.0)).unwrap();
    assert_eq!(left.iter().collect::<Vec<_>>(), [1]);
    let tried = [0, 1].into_iter().collect();
    assert_eq!(filter::candidates(&group, &Features::default(), &tried, at(0.0)), Err(NoMember::Busy));
    assert_eq!(filter::candidates(&Group::default(), &Features::default(), &tried, at(0.0)), Err(NoMember::Empty));
    let idle = [member("a", 0)];
    assert_eq!(able(&idle, &Features::default()), Err(NoMember::Empty));
}

fn model_tags(tags: &[&str]) -> Member {
    with("m", |it| it.tags = tags.iter().map(|tag| (*tag).into()).collect())
}

fn target_tags(tags: &[&str]) -> Member {
    Member { tags: tags.iter().map(|tag| (*tag).into()).collect(), ..member("m", 1) }
}

#[test]
fn tags_choose_as_litellms_do() {
    let tagged = |members: &[Member], tags: &[&str]| {
        able(members, &needing(|it| it.tags = tags.iter().map(|tag| (*tag).into()).collect()))
    };
    let all = [model_tags(&["eu", "hipaa"]), model_tags(&["eu"]), model_tags(&["us", "beta"]), member("m", 1)];
    let cases: [(&[&str], Able); 10] = [
        // Without a default, all of them.
        (&[], Ok(vec![0, 1, 2, 3])),
        // Any of the plain ones.
        (&["hipaa"], Ok(vec![0])),
        (&["hipaa", "us"], Ok(vec![0, 2])),
        (&["elsewhere"], Err(NoMember::Tags)),
        // All of the required ones.
        (&["&eu", "&hipaa"], Ok(vec![0])),
        (&["&eu", "us"], Err(NoMember::Tags)),
        (&["&eu", "hipaa", "us"], Ok(vec![0])),
        (&["!eu"], Ok(vec![2, 3])),
        (&["!beta", "us", "eu"], Ok(vec![0, 1])),
        (&["!eu", "!us", "&eu"], Err(NoMember::Tags)),
    ];
    for (tags, expected) in cases {
        assert_eq!(tagged(&all, tags), expected, "{tags:?}");
    }
    // One tagged `default` takes what nothing sends elsewhere, but never what is forbidden to it.
    let default = [model_tags(&["eu"]), model_tags(&["default"]), member("m", 1)];
    assert_eq!(tagged(&default, &[]), Ok(vec![1]));
    assert_eq!(tagged(&default, &["eu"]), Ok(vec![0]));
    assert_eq!(tagged(&default, &["elsewhere"]), Ok(vec![1]));
    assert_eq!(tagged(&default, &["elsewhere", "&hipaa"]), Err(NoMember::Tags));
    assert_eq!(tagged(&default, &["!default"]), Ok(vec![0, 2]));
}

#[test]
fn a_target_with_tags_takes_only_requests_that_carry_one() {
    let tagged = |members: &[Member], tags: &[&str]| {
        able(members, &needing(|it| it.tags = tags.iter().map(|tag| (*tag).into()).collect()))
    };
    let route = [target_tags(&["premium", "internal"]), member("m", 1)];
    assert_eq!(tagged(&route, &[]), Ok(vec![1]));
    assert_eq!(tagged(&route, &["internal"]), Ok(vec![0]));
    assert_eq!(tagged(&route, &["&premium"]), Ok(vec![0]));
    assert_eq!(tagged(&route[..1], &[]), Err(NoMember::Tags));
    assert_eq!(tagged(&route[..1], &["other"]), Err(NoMember::Tags));
    // A model's own tags open no target that is restricted.
    let both = [Member { tags: vec!["premium".into()], ..model_tags(&["eu"]) }];
    assert_eq!(tagged(&both, &["eu"]), Err(NoMember::Tags));
    assert_eq!(tagged(&both, &["eu", "premium"]), Ok(vec![0]));
}

#[test]
fn plain_tags_are_labels_where_no_member_has_any() {
    let tagged = |tags: &[&str]| {
        let features = needing(|it| it.tags = tags.iter().map(|tag| (*tag).into()).collect());
        able(&[member("a", 1), member("b", 1)], &features)
    };
    assert_eq!(tagged(&["job:17"]), Ok(vec![0, 1]));
    assert_eq!(tagged(&["!beta"]), Ok(vec![0, 1]));
    assert_eq!(tagged(&["&hipaa"]), Err(NoMember::Tags), "what is required is never ignored");
}

#[test]
fn sets_of_many_members_are_sets() {
    let set: Set = [0, 63, 64, 200, 64].into_iter().collect();
    assert_eq!(set.iter().collect::<Vec<_>>(), [0, 63, 64, 200]);
    assert_eq!((set.len(), set.is_empty(), set.contains(64), set.contains(65)), (4, false, true, false));
    assert_eq!(set.only(|index| index >= 64).iter().collect::<Vec<_>>(), [64, 200]);
    assert!(set.only(|_| false).is_empty());
}
