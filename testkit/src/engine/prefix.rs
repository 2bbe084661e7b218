//! The prefix cache: beginnings of prompts that the engine has computed before, block by block; what was not used for longest goes.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Mutex, PoisonError},
};

/// Words of a block; vLLM's blocks have as many tokens.
const BLOCK: usize = 16;

/// Blocks by what they hold and all that comes before it.
#[derive(Debug, Default)]
struct Blocks {
    /// When each was used last.
    used: HashMap<u64, u64>,
    /// Uses so far.
    uses: u64,
}

/// What an engine remembers.
#[derive(Debug)]
pub(super) struct PrefixCache {
    blocks: Mutex<Blocks>,
    most: usize,
}

impl PrefixCache {
    /// For so many blocks; none = nothing is remembered.
    pub(super) fn new(most: usize) -> Self {
        Self { blocks: Mutex::default(), most }
    }

    /// How many of a prompt's first words it had. It has all whole blocks of it from now on.
    pub(super) fn read(&self, words: &[&str]) -> usize {
        let mut blocks = self.blocks.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut chain, mut known, mut unbroken) = (DefaultHasher::new(), 0, true);
        for block in words.chunks_exact(BLOCK) {
            block.hash(&mut chain);
            blocks.uses += 1;
            let now = blocks.uses;
            unbroken &= blocks.used.insert(chain.finish(), now).is_some();
            known += if unbroken { BLOCK } else { 0 };
        }
        while blocks.used.len() > self.most {
            let oldest = blocks.used.iter().min_by_key(|(_, used)| **used).map(|(block, _)| *block);
            oldest.map(|block| blocks.used.remove(&block));
        }
        known
    }
}
