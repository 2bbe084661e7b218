//! Some of a group's members, as bits: no allocation up to 64 of them.

/// Indices into [`crate::group::Group::members`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    first: u64,
    rest: Vec<u64>,
}

impl Set {
    /// All below `len`.
    pub fn below(len: usize) -> Self {
        (0..len).collect()
    }

    /// Adds one.
    pub fn insert(&mut self, index: usize) {
        let bit = 1 << (index % 64);
        match (index / 64).checked_sub(1) {
            None => self.first |= bit,
            Some(at) => {
                if self.rest.len() <= at {
                    self.rest.resize(at + 1, 0);
                }
                if let Some(word) = self.rest.get_mut(at) {
                    *word |= bit;
                }
            }
        }
    }

    /// Whether it is one of them.
    pub fn contains(&self, index: usize) -> bool {
        self.word(index / 64) & (1 << (index % 64)) != 0
    }

    /// None at all.
    pub fn is_empty(&self) -> bool {
        self.first == 0 && self.rest.iter().all(|word| *word == 0)
    }

    /// How many.
    pub fn len(&self) -> usize {
        let ones = self.rest.iter().chain([&self.first]).map(|word| word.count_ones() as usize);
        ones.sum()
    }

    /// Lowest first.
    pub fn iter(&self) -> impl Iterator<Item = usize> + Clone + '_ {
        let words = 0..=self.rest.len();
        words.flat_map(|at| ones(self.word(at)).map(move |bit| at * 64 + bit))
    }

    /// Those of them that are `wanted`.
    #[must_use]
    pub fn only(&self, mut wanted: impl FnMut(usize) -> bool) -> Self {
        self.iter().filter(|index| wanted(*index)).collect()
    }

    fn word(&self, at: usize) -> u64 {
        match at.checked_sub(1) {
            None => self.first,
            Some(at) => self.rest.get(at).copied().unwrap_or_default(),
        }
    }
}

impl FromIterator<usize> for Set {
    fn from_iter<I: IntoIterator<Item = usize>>(indices: I) -> Self {
        let mut set = Self::default();
        indices.into_iter().for_each(|index| set.insert(index));
        set
    }
}

fn ones(mut word: u64) -> impl Iterator<Item = usize> + Clone {
    std::iter::from_fn(move || {
        let bit = (word != 0).then(|| word.trailing_zeros() as usize)?;
        word &= word - 1;
        Some(bit)
    })
}
