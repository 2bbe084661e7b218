//! Usage and cost.

use turnpike_routing::{features::Features, group::Strategy};

use super::fixture::{at, chosen, group, member, tally, turn, with};

#[test]
fn the_largest_share_of_a_rate_that_is_left_wins() {
    let group = group(Strategy::Usage, [with("a", |it| it.rpm = Some(100)), with("b", |it| it.rpm = Some(300))]);
    let mut counts = [0_u64; 2];
    for n in 0..200 {
        let index = chosen(&group, &Features::default(), turn(n, at(0.0)));
        counts[index] += 1;
        drop(group.members[index].live.begin(at(0.0), 0));
    }
    assert!(counts[0].abs_diff(50) <= 1, "{counts:?}");
}

#[test]
fn tokens_that_are_under_way_count() {
    let both = |it: &mut turnpike_routing::backend::Traits| it.tpm = Some(1000);
    let group = group(Strategy::Usage, [with("a", both), with("b", both)]);
    let under_way = group.members[0].live.begin(at(0.0), 500);
    assert_eq!(tally(&group, 20, |_| Features::default()), [0, 20]);
    drop(under_way);
    // What was sent counts for its minute, and no longer.
    let later = chosen(&group, &Features { prompt_tokens: 1000, ..Features::default() }, turn(0, at(70.0)));
    assert!(later < 2);
}

#[test]
fn without_rates_the_fewest_tokens_for_the_weight_win() {
    let group = group(Strategy::Usage, [member("a", 3), member("b", 1), with("c", |it| it.tpm = Some(1_000_000))]);
    let mut tokens = [0; 3];
    for n in 0..500 {
        let index = chosen(&group, &Features::default(), turn(n, at(0.0)));
        tokens[index] += 100;
        drop(group.members[index].live.begin(at(0.0), 100));
    }
    assert_eq!(tokens, [30_000, 10_000, 10_000]);
}

#[test]
fn the_cheapest_for_this_prompt_and_this_answer_wins() {
    let dear_output = with("a", |it| it.price = Some((1_000, 100_000)));
    let dear_input = with("b", |it| it.price = Some((10_000, 10_000)));
    let unknown = with("c", |_| ());
    let group = group(Strategy::LowestCost, [unknown, dear_output, dear_input]);
    let features = |prompt_tokens, output_tokens| Features { prompt_tokens, output_tokens, ..Features::default() };
    assert_eq!(tally(&group, 10, |_| features(10_000, Some(10))), [0, 10, 0]);
    assert_eq!(tally(&group, 10, |_| features(10, Some(1000))), [0, 0, 10]);
    // An answer of unknown size is taken for a typical one.
    assert_eq!(tally(&group, 10, |_| features(10, None)), [0, 0, 10]);
}

#[test]
fn what_has_no_price_serves_where_nothing_else_can_and_equals_share_by_weight() {
    let blind = with("b", |it| (it.price, it.vision) = (Some((1, 1)), Some(false)));
    let seeing = group(Strategy::LowestCost, [with("a", |_| ()), blind]);
    let features = Features { vision: true, ..Features::default() };
    assert_eq!(tally(&seeing, 10, |_| features.clone()), [10, 0]);
    let equals = group(Strategy::LowestCost, [member("a", 3), member("b", 1)]);
    let counts = tally(&equals, 4000, |_| Features::default());
    assert!(counts[0].abs_diff(3000) <= 100, "{counts:?}");
}
