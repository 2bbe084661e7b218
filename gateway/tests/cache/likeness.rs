//! Vectors: how like they are, which one is found, and which ones go.

use proptest::prelude::*;
use turnpike_gateway::cache::semantic::{
    Meaning,
    index::{Found, Index, Vector},
};

fn vector(numbers: &[f32]) -> Vector {
    Vector::new(numbers).unwrap()
}

fn meaning(partition: u8, numbers: &[f32]) -> Meaning {
    Meaning { partition: [partition; 32], vector: vector(numbers) }
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    dot(a, b) / (dot(a, a).sqrt() * dot(b, b).sqrt())
}

/// Numbers from a seed, the same each time.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        f32::from(u16::try_from(state >> 48).unwrap()) / 32768.0 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

#[test]
fn the_likest_of_a_partition_is_found() {
    let index = Index::default();
    index.add(meaning(1, &[1.0, 0.0, 0.0]), [1; 32], 100, 0);
    index.add(meaning(1, &[0.0, 1.0, 0.1]), [2; 32], 100, 0);
    index.add(meaning(2, &[0.0, 0.0, 1.0]), [3; 32], 100, 0);
    let found = index.find(&meaning(1, &[0.0, 5.0, 0.0]), 0.9, 50).unwrap();
    assert_eq!(found.key, [2; 32]);
    assert!((0.99..1.0).contains(&found.likeness), "{found:?}");
    assert_eq!(index.find(&meaning(1, &[0.0, 0.0, 1.0]), 0.9, 50), None, "of another partition");
    assert_eq!(index.find(&meaning(1, &[0.0, 5.0, 0.0]), 0.9, 100), None, "expired");
    assert_eq!(index.find(&meaning(1, &[0.0, 1.0]), 0.1, 50), None, "of another length");
    assert_eq!(index.find(&meaning(1, &[-1.0, 0.0, 0.0]), 0.1, 50), None, "the opposite");
    index.remove(&[1; 32], &[2; 32]);
    assert_eq!((index.find(&meaning(1, &[0.0, 5.0, 0.0]), 0.9, 50), index.len()), (None, 2));
}

#[test]
fn an_answer_that_is_kept_again_is_there_once() {
    let index = Index::default();
    for until in [10, 20] {
        index.add(meaning(1, &[1.0, 2.0]), [1; 32], until, 0);
    }
    assert_eq!(index.len(), 1);
    assert_eq!(index.find(&meaning(1, &[1.0, 2.0]), 1.0, 15), Some(Found { key: [1; 32], likeness: 1.0 }));
}

#[test]
fn those_used_longest_ago_make_room() {
    let index = Index::new(64);
    let key = |number: u8| [number; 32];
    for number in 0..64 {
        index.add(meaning(number % 3, &numbers(number.into(), 8)), key(number), 100, 0);
    }
    // The first one is used, so the second is the oldest.
    assert!(index.find(&meaning(0, &numbers(0, 8)), 0.999, 0).is_some());
    index.add(meaning(0, &numbers(99, 8)), key(99), 100, 0);
    assert_eq!(index.len(), 61);
    let is_there = |number: u8| index.find(&meaning(number % 3, &numbers(number.into(), 8)), 0.999, 0).is_some();
    assert!(is_there(0));
    assert!((1..=4).all(|number| !is_there(number)));
    assert!((5..64).all(is_there));
}

#[test]
fn expired_ones_go_first() {
    let index = Index::new(8);
    for number in 0..8_u8 {
        index.add(meaning(1, &numbers(number.into(), 8)), [number; 32], if number == 7 { 5 } else { 100 }, 0);
    }
    index.add(meaning(1, &numbers(8, 8)), [8; 32], 100, 10);
    assert_eq!(index.len(), 8);
    assert!(index.find(&meaning(1, &numbers(0, 8)), 0.999, 10).is_some());
}

#[test]
fn no_direction_is_no_vector() {
    assert_eq!(Vector::new(&[]), None);
    assert_eq!(Vector::new(&[0.0, 0.0]), None);
    assert_eq!(Vector::new(&[1.0, f32::NAN]), None);
    assert_eq!(Vector::new(&[f32::INFINITY]), None);
    assert_eq!(Vector::new(&vec![1.0; 9000]), None);
}

proptest! {
    #[test]
    fn a_byte_a_dimension_is_exact_enough(a in any::<u64>(), b in any::<u64>(), mix in 0.0_f32..2.0) {
        let first = numbers(a, 1536);
        let second: Vec<f32> = numbers(b, 1536).iter().zip(&first).map(|(other, own)| own + mix * other).collect();
        let likeness = vector(&first).likeness(&vector(&second));
        let exact = cosine(&first, &second);
        prop_assert!((likeness - exact).abs() < 0.002, "{likeness} {exact}");
    }
}

/// `cargo test -p turnpike-gateway --test cache --release -- --ignored --nocapture a_full_index`
#[test]
#[ignore = "a measurement"]
fn a_full_index_is_searched_in_milliseconds() {
    let index = Index::default();
    for number in 0..20_000_u32 {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&number.to_le_bytes());
        index.add(meaning(1, &numbers(number.into(), 1536)), key, 100, 0);
    }
    let asked = meaning(1, &numbers(7, 1536));
    let began = tokio::time::Instant::now();
    for _ in 0..20 {
        assert!(index.find(&asked, 0.99, 0).is_some());
    }
    println!("{:?} a search of 20,000 vectors of 1536 dimensions", began.elapsed() / 20);
}
