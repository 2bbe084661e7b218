//! Complexity.

use turnpike_routing::{
    complexity,
    features::Features,
    filter,
    group::{Complexity, Group, Member, Strategy, Tier},
    set::Set,
    strategy,
};

use super::fixture::{at, chosen, group, member, tally, turn};

fn tiers(tiers: &[Tier]) -> Group {
    let members: Vec<Member> = tiers.iter().map(|tier| Member { tier: Some(*tier), ..member("m", 1) }).collect();
    let complexity = Complexity { simple_below_words: 50, keywords: Vec::new() };
    Group { complexity: Some(complexity), ..group(Strategy::Complexity, members) }
}

fn simple() -> Features {
    Features { words: 5, ..Features::default() }
}

#[test]
fn prompts_are_told_apart() {
    let complexity = Complexity { simple_below_words: 50, keywords: Vec::new() };
    let tier = |features: Features| complexity::tier(&features, &complexity);
    assert_eq!(tier(Features { words: 49, ..Features::default() }), Tier::Simple);
    assert_eq!(tier(Features { words: 50, ..Features::default() }), Tier::Medium);
    assert_eq!(tier(Features { tools: true, ..simple() }), Tier::Medium);
    assert_eq!(tier(Features { vision: true, ..simple() }), Tier::Medium);
    assert_eq!(tier(Features { json_schema: true, ..simple() }), Tier::Medium);
    assert_eq!(tier(Features { complex: true, ..simple() }), Tier::Complex);
}

#[test]
fn each_prompt_goes_to_its_tier_and_one_without_a_member_to_the_next_one_up() {
    use Tier::{Complex, Medium, Simple};
    let medium = Features { words: 500, ..Features::default() };
    let complex = Features { complex: true, ..simple() };
    let all = tiers(&[Simple, Medium, Complex]);
    let each = [simple(), medium.clone(), complex.clone()].map(|features| chosen(&all, &features, turn(0, at(0.0))));
    assert_eq!(each, [0, 1, 2]);
    let upper = tiers(&[Complex, Medium]);
    assert_eq!(chosen(&upper, &simple(), turn(0, at(0.0))), 1);
    let outer = tiers(&[Simple, Complex]);
    assert_eq!(chosen(&outer, &medium, turn(0, at(0.0))), 1);
    // Better a smaller model than none.
    let lower = tiers(&[Simple, Medium]);
    assert_eq!(chosen(&lower, &complex, turn(0, at(0.0))), 1);
}

#[test]
fn a_tier_whose_members_failed_is_as_one_without() {
    let all = tiers(&[Tier::Simple, Tier::Complex, Tier::Medium]);
    let mut tried = Set::default();
    let mut order = Vec::new();
    for _ in 0..3 {
        let left = filter::candidates(&all, &simple(), &tried, at(0.0)).unwrap();
        let next = strategy::choose(&all, &left, &simple(), turn(0, at(0.0))).unwrap();
        tried.insert(next);
        order.push(next);
    }
    assert_eq!(order, [0, 2, 1]);
}

#[test]
fn a_member_for_all_prompts_serves_behind_the_tiers() {
    let mut group = tiers(&[Tier::Simple, Tier::Complex, Tier::Complex]);
    (group.members[2].tier, group.members[2].priority) = (None, 1);
    let at_hand = |tried: &[usize]| {
        let left = Set::below(3).only(|index| !tried.contains(&index));
        strategy::choose(&group, &left, &simple(), turn(0, at(0.0)))
    };
    assert_eq!([at_hand(&[]), at_hand(&[0]), at_hand(&[0, 1]), at_hand(&[0, 1, 2])], [Some(0), Some(1), Some(2), None]);
}

#[test]
fn members_of_one_tier_share_by_weight() {
    let mut group = tiers(&[Tier::Simple, Tier::Simple, Tier::Complex]);
    group.members[0].weight = 3;
    let counts = tally(&group, 4000, |_| simple());
    assert!(counts[0].abs_diff(3000) < 120 && counts[2] == 0, "{counts:?}");
}
