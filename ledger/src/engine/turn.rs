//! Whose turn it is at an account: one request at a time takes from it. Callers take turns, and the requests of one caller
//! keep their order, so that a caller with many of them does not keep out the others.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

/// Those who wait, by caller.
#[derive(Debug)]
struct Rotation<T> {
    /// Each caller once, whoever is next first.
    order: VecDeque<Arc<str>>,
    /// What each of them waits with, oldest first; never empty.
    waiting: HashMap<Arc<str>, VecDeque<(u64, T)>>,
}

impl<T> Default for Rotation<T> {
    fn default() -> Self {
        Self { order: VecDeque::new(), waiting: HashMap::new() }
    }
}

impl<T> Rotation<T> {
    /// At the end of what this caller waits with.
    fn push(&mut self, caller: &str, number: u64, item: T) {
        if let Some(own) = self.waiting.get_mut(caller) {
            own.push_back((number, item));
            return;
        }
        let caller: Arc<str> = caller.into();
        self.order.push_back(Arc::clone(&caller));
        self.waiting.insert(caller, VecDeque::from([(number, item)]));
    }

    /// The oldest of the next caller, which then is the last.
    fn pop(&mut self) -> Option<T> {
        let caller = self.order.pop_front()?;
        let own = self.waiting.get_mut(&caller)?;
        let (_, item) = own.pop_front()?;
        if own.is_empty() {
            self.waiting.remove(&caller);
        } else {
            self.order.push_back(caller);
        }
        Some(item)
    }

    /// It does not wait any more.
    fn remove(&mut self, caller: &str, number: u64) {
        let Some(own) = self.waiting.get_mut(caller) else { return };
        own.retain(|(other, _)| *other != number);
        if own.is_empty() {
            self.waiting.remove(caller);
            self.order.retain(|other| **other != *caller);
        }
    }

    fn of(&self, caller: &str) -> usize {
        self.waiting.get(caller).map_or(0, VecDeque::len)
    }
}

/// The turns of one account.
#[derive(Debug, Default)]
pub(super) struct Turns {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Somebody has the turn.
    taken: bool,
    next: u64,
    rotation: Rotation<oneshot::Sender<Permit>>,
}

/// The turn. The next one has it when this is dropped.
#[derive(Debug)]
pub(super) struct Permit(Arc<Turns>);

impl Drop for Permit {
    fn drop(&mut self) {
        self.0.pass_on();
    }
}

/// A place in the queue, given up when dropped.
struct Place<'a> {
    turns: &'a Turns,
    caller: &'a str,
    number: u64,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.turns.lock().rotation.remove(self.caller, self.number);
    }
}

impl Turns {
    /// Waits for the turn. Dropped before, it leaves the queue.
    pub(super) async fn take(self: &Arc<Self>, caller: &str) -> Permit {
        let (sender, receiver) = oneshot::channel();
        let number = {
            let mut state = self.lock();
            if !state.taken {
                state.taken = true;
                return Permit(Arc::clone(self));
            }
            state.next += 1;
            let number = state.next;
            state.rotation.push(caller, number, sender);
            number
        };
        let _place = Place { turns: self, caller, number };
        match receiver.await {
            Ok(permit) => permit,
            // The sender goes only with its place in the queue, which lives as long as this.
            Err(_) => std::future::pending().await,
        }
    }

    /// How many requests of this caller wait for their turn.
    pub(super) fn waiting(&self, caller: &str) -> usize {
        self.lock().rotation.of(caller)
    }

    fn pass_on(self: &Arc<Self>) {
        let next = {
            let mut state = self.lock();
            let next = state.rotation.pop();
            state.taken = next.is_some();
            next
        };
        if let Some(next) = next {
            // Whoever left meanwhile gives the permit back, and with it this goes on.
            drop(next.send(Permit(Arc::clone(self))));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Whole between any two calls.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::task::{Context, Waker};

    use super::*;

    fn all(rotation: &mut Rotation<u64>) -> Vec<u64> {
        std::iter::from_fn(|| rotation.pop()).collect()
    }

    #[test]
    fn callers_take_turns_and_each_keeps_its_order() {
        let mut rotation = Rotation::default();
        for (number, caller) in [(1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "a"), (6, "c"), (7, "b")] {
            rotation.push(caller, number, number);
        }
        assert_eq!(rotation.of("a"), 4);
        assert_eq!(all(&mut rotation), [1, 4, 6, 2, 7, 3, 5]);
    }

    #[test]
    fn who_leaves_is_not_called_and_comes_back_at_the_end() {
        let mut rotation = Rotation::default();
        for (number, caller) in [(1, "a"), (2, "b"), (3, "a"), (4, "c")] {
            rotation.push(caller, number, number);
        }
        rotation.remove("a", 1);
        rotation.remove("b", 2);
        rotation.remove("b", 2);
        rotation.push("b", 5, 5);
        assert_eq!(all(&mut rotation), [3, 4, 5]);
        assert!(rotation.waiting.is_empty());
    }

    #[tokio::test]
    async fn a_turn_that_its_next_owner_does_not_take_goes_on() {
        let turns = Arc::new(Turns::default());
        let first = turns.take("a").await;
        let mut second = Box::pin(turns.take("a"));
        let mut third = Box::pin(turns.take("b"));
        let mut context = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert!(third.as_mut().poll(&mut context).is_pending());
        assert_eq!((turns.waiting("a"), turns.waiting("b")), (1, 1));
        // The second has it, and leaves before it looks.
        drop(first);
        drop(second);
        let third = third.await;
        drop(third);
        let state = turns.lock();
        assert!(!state.taken && state.rotation.order.is_empty());
    }
}
