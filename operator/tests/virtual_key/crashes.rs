//! Any order of steps, crashes between them, two operators at once, wrong clocks and meddling users.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::{Resource, ResourceExt};
use proptest::prelude::*;
use turnpike_bundle::{entry::KeyHash, minted as annotations};
use turnpike_crds::{VirtualKey, virtual_key::Rotation};
use turnpike_operator::{
    kit::owner::{Owner, owner},
    names::{Names, ROTATE_ANNOTATION},
    virtual_key::{
        change::{Change, Found, Write, change},
        minted::Held,
        plan::{Facts, Place, Plan, Step, plan, secret_name},
        random::Key,
    },
};

/// Two operators, one of which does not know yet that it leads no more.
const OPERATORS: usize = 2;

#[derive(Clone, Debug)]
enum Op {
    /// An operator reads and decides.
    Look(usize),
    /// It does what it decided; without this it has crashed, or been slow.
    Act(usize),
    /// Time passes, seconds.
    Pass(u32),
    /// The operators' clocks run ahead by so many hours.
    Clock(u8),
    Ask(u8),
    Withdraw,
    Interval(Option<u16>),
    DeleteSecret,
    RenameSecret(u8),
    RenameKey(u8),
    StripLabels,
    StripTime,
    DeleteKey,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0..OPERATORS).prop_map(Op::Look),
        6 => (0..OPERATORS).prop_map(Op::Act),
        4 => (1_u32..200_000).prop_map(Op::Pass),
        2 => (0_u8..20).prop_map(Op::Clock),
        4 => (0_u8..4).prop_map(Op::Ask),
        1 => Just(Op::Withdraw),
        2 => prop::option::of(1_u16..200).prop_map(Op::Interval),
        1 => Just(Op::DeleteSecret),
        1 => (0_u8..2).prop_map(Op::RenameSecret),
        1 => (0_u8..2).prop_map(Op::RenameKey),
        1 => Just(Op::StripLabels),
        1 => Just(Op::StripTime),
    ]
}

/// What an operator has decided and not done yet.
struct Pending {
    change: Change,
    step: Step,
    at: Timestamp,
    /// What the annotation says and was not acted upon.
    asked: Option<String>,
}

/// An apiserver with one key and its Secrets, and what was promised about them.
struct Cluster {
    names: Names,
    object: VirtualKey,
    secrets: BTreeMap<String, Secret>,
    version: u64,
    drawn: u64,
    now: Timestamp,
    ahead: SignedDuration,
    pending: [Option<Pending>; OPERATORS],
    /// Until when a hash has to work.
    promised: BTreeMap<String, Timestamp>,
    /// How often each value of the annotation was acted upon.
    handled: BTreeMap<String, u32>,
    asked: u32,
    renamed: u32,
    revoked: u32,
    minted: u32,
    /// Of the two Secrets that there are, neither was made from the other.
    apart: bool,
}

impl Cluster {
    fn new() -> Self {
        let names = Names { instance: "turnpike".to_owned(), release_namespace: "turnpike".to_owned() };
        let mut object: VirtualKey = serde_saphyr::from_str(
            "{apiVersion: turnpike.dev/v1alpha1, kind: VirtualKey, metadata: {name: bot, namespace: ml, uid: u1}, \
             spec: {generate: {}}}",
        )
        .unwrap();
        object.metadata.finalizers = Some(vec![names.finalizer()]);
        Self {
            names,
            object,
            secrets: BTreeMap::new(),
            version: 0,
            drawn: 0,
            now: "2026-05-01T00:00:00Z".parse().unwrap(),
            ahead: SignedDuration::ZERO,
            pending: [None, None],
            promised: BTreeMap::new(),
            handled: BTreeMap::new(),
            asked: 0,
            renamed: 0,
            revoked: 0,
            minted: 0,
            apart: false,
        }
    }

    fn run(&mut self, op: &Op) {
        match op {
            Op::Look(operator) => self.pending[*operator] = self.decide(),
            Op::Act(operator) => {
                if let Some(pending) = self.pending[*operator].take() {
                    self.apply(pending);
                }
            }
            Op::Pass(seconds) => self.now += SignedDuration::from_secs((*seconds).into()),
            Op::Clock(hours) => self.ahead = SignedDuration::from_hours((*hours).into()),
            Op::Ask(value) => {
                // Never the same twice in a row: that asks for nothing.
                self.asked += 1;
                let value = format!("{value}-{}", self.asked);
                self.object.annotations_mut().insert(ROTATE_ANNOTATION.to_owned(), value);
            }
            Op::Withdraw => drop(self.object.annotations_mut().remove(ROTATE_ANNOTATION)),
            Op::Interval(hours) => {
                self.object.spec.rotation =
                    hours.map(|hours| Rotation { interval: format!("{hours}h").as_str().into(), overlap: None });
            }
            Op::DeleteSecret => {
                // Whoever revokes deletes every Secret there is: for a moment there may be two.
                self.revoked += u32::try_from(self.secrets.len()).unwrap();
                self.secrets.clear();
                self.promised.clear();
            }
            Op::RenameSecret(number) => {
                self.renamed += 1;
                // One of the two was made by an operator that did not know of a new name. Until it is deleted, going
                // back to its name is to ask for the key in it.
                if self.apart {
                    self.promised.clear();
                }
                self.object.spec.generate.as_mut().unwrap().secret_name = (*number > 0).then(|| "other".to_owned());
            }
            Op::RenameKey(number) => {
                let name = if *number > 0 { "token" } else { "api-key" };
                name.clone_into(&mut self.object.spec.generate.as_mut().unwrap().secret_key);
            }
            Op::StripLabels => self.edit(|secret| secret.metadata.labels = None),
            Op::StripTime => self.edit(|secret| drop(secret.annotations_mut().remove(annotations::MINTED_AT))),
            Op::DeleteKey => {
                let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(self.now);
                self.object.meta_mut().deletion_timestamp = Some(time);
            }
        }
    }

    fn edit(&mut self, edit: impl Fn(&mut Secret)) {
        for secret in self.secrets.values_mut() {
            edit(secret);
            self.version += 1;
            secret.metadata.resource_version = Some(self.version.to_string());
        }
    }

    /// As the operator does: the Secrets are read first, then the object.
    fn decide(&mut self) -> Option<Pending> {
        let (found, step) = (self.find(), self.plan().step);
        let generate = self.object.spec.generate.clone().unwrap();
        self.drawn += 1;
        let drawn = self.drawn;
        let key = || {
            Key::draw(|bytes| {
                bytes
                    .iter_mut()
                    .enumerate()
                    .for_each(|(at, byte)| *byte = u8::try_from(drawn >> (at % 8 * 7) & 127).unwrap());
                Ok::<_, std::convert::Infallible>(())
            })
        };
        let now = self.now + self.ahead;
        let asked = self.object.annotations().get(ROTATE_ANNOTATION).cloned();
        let asked = asked.filter(|asked| self.rotation_handled().as_ref() != Some(asked));
        let change = change(&self.names, &step, (&self.object, &generate), found, (key, now)).unwrap()?;
        Some(Pending { change, step, at: self.now, asked })
    }

    fn find(&self) -> Found {
        let name = secret_name(&self.object, self.object.spec.generate.as_ref().unwrap());
        let old = self.secrets.iter().find(|(other, _)| **other != name).map(|(_, secret)| secret.clone());
        Found { secret: self.secrets.get(&name).cloned(), old, was_minted: self.minted > 0 }
    }

    fn plan(&self) -> Plan {
        let Found { secret, old, .. } = self.find();
        let generate = self.object.spec.generate.as_ref().unwrap();
        let place = secret.map_or(Place::Free, |secret| {
            assert_eq!(owner(&secret, &self.object), Owner::This);
            Place::Ours(Held::of(&secret, generate))
        });
        plan(&Facts {
            object: &self.object,
            finalizer: &self.names.finalizer(),
            place,
            elsewhere: old.map(|old| old.name_any()),
            terminating: false,
            now: self.now + self.ahead,
        })
    }

    /// As the apiserver does, refusing what has changed; then notes what the write promises.
    fn apply(&mut self, Pending { change, step, at, asked }: Pending) {
        let before = self.hashes();
        let (Write::Create(secret) | Write::Replace(secret) | Write::Delete(secret)) = &change.write;
        let name = secret.name_any();
        let there = self.secrets.get(&name);
        let same = there.is_some_and(|there| there.resource_version() == secret.resource_version());
        self.version += 1;
        let version = Some(self.version.to_string());
        match change.write {
            Write::Create(_) if there.is_some() => return,
            Write::Replace(_) | Write::Delete(_) if !same => return,
            Write::Delete(_) => drop(self.secrets.remove(&name)),
            Write::Create(mut secret) | Write::Replace(mut secret) => {
                secret.metadata.resource_version = version;
                self.secrets.insert(name, secret);
            }
        }
        self.apart &= self.secrets.len() > 1;
        match &step {
            Step::Mint => {
                self.minted += 1;
                self.apart = self.secrets.len() > 1;
            }
            Step::Rotate(rotation) => {
                let (old, _) = before.iter().find(|(_, until)| until.is_none()).unwrap();
                // Clocks ahead may say a later time, never an earlier one.
                let overlap = rotation.retires_at.unwrap().duration_since(rotation.at);
                self.promised.insert(old.clone(), at + overlap);
                if let Some(asked) = asked {
                    *self.handled.entry(asked).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    fn rotation_handled(&self) -> Option<String> {
        let name = secret_name(&self.object, self.object.spec.generate.as_ref()?);
        self.secrets.get(&name)?.annotations().get(annotations::ROTATE_HANDLED).cloned()
    }

    /// Hashes that work, and until when; `None` = the key in force.
    fn hashes(&self) -> Vec<(String, Option<Timestamp>)> {
        let name = secret_name(&self.object, self.object.spec.generate.as_ref().unwrap());
        let secret = self.secrets.get(&name).or_else(|| self.secrets.values().next());
        let Some(secret) = secret else { return Vec::new() };
        let value = secret.data.as_ref().unwrap().values().next().unwrap();
        let replaced = annotations::replaced(secret.annotations())
            .into_iter()
            .map(|KeyHash { sha256, retires_at }| (sha256, Some(Timestamp::from_second(retires_at.unwrap()).unwrap())));
        std::iter::once((annotations::sha256(&value.0), None)).chain(replaced).collect()
    }

    /// Everything in every Secret that lets a client in.
    fn all_hashes(&self) -> BTreeSet<String> {
        let hashes = |secret: &Secret| {
            let values = secret.data.iter().flatten().map(|(_, value)| annotations::sha256(&value.0));
            let replaced = annotations::replaced(secret.annotations()).into_iter().map(|hash| hash.sha256);
            values.chain(replaced).collect::<Vec<_>>()
        };
        self.secrets.values().flat_map(hashes).collect()
    }

    fn check(&self) {
        let hashes = self.hashes();
        for (hash, until) in self.promised.iter().filter(|(_, until)| **until > self.now) {
            let held = hashes.iter().find(|(other, _)| other == hash).unwrap_or_else(|| panic!("{hash} works no more"));
            assert!(held.1.is_none_or(|time| time >= *until), "{hash} is cut short: {held:?}, promised {until}");
        }
        // An operator that does not know of the new name may use the old once more; it then goes with its Secret.
        let most = 1 + self.revoked + self.renamed;
        assert!(self.minted <= most, "minted {} times, {most} expected", self.minted);
        for (value, times) in &self.handled {
            // A key that was deleted by hand takes with it what it had handled.
            assert!(*times <= most, "{value} was acted upon {times} times");
        }
        let mut sorted: Vec<_> = hashes.iter().map(|(hash, _)| hash).collect();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), hashes.len(), "a hash twice");
        assert!(hashes.len() <= 8);
    }

    /// One operator, a clock that is right, and time for what is to be waited for.
    fn settle(&mut self) {
        self.ahead = SignedDuration::ZERO;
        for _ in 0..20 {
            if let Some(pending) = self.decide() {
                self.apply(pending);
                self.check();
            }
        }
        assert_eq!(self.plan().step, Step::Rest);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_key_is_lost_doubled_or_cut_short(ops in prop::collection::vec(op(), 1..60)) {
        let mut cluster = Cluster::new();
        for op in &ops {
            cluster.run(op);
            cluster.check();
        }
        cluster.settle();
        let generate = cluster.object.spec.generate.clone().unwrap();
        let names: Vec<&String> = cluster.secrets.keys().collect();
        prop_assert_eq!(names, [&secret_name(&cluster.object, &generate)]);
        let secret = cluster.secrets.values().next().unwrap();
        prop_assert_eq!(secret.data.as_ref().unwrap().keys().collect::<Vec<_>>(), [&generate.secret_key]);
        let held = Held::of(secret, &generate);
        prop_assert!(held.labelled && held.minted_at.is_some());
    }

    #[test]
    fn nothing_is_made_after_a_deletion(before in prop::collection::vec(op(), 0..20), after in prop::collection::vec(op(), 1..20)) {
        let mut cluster = Cluster::new();
        for op in &before {
            cluster.run(op);
        }
        // What was decided before and is still on its way is refused, or goes with the object that owns it.
        cluster.pending = [None, None];
        cluster.run(&Op::DeleteKey);
        let (minted, held) = (cluster.minted, cluster.all_hashes());
        for op in &after {
            cluster.run(op);
        }
        prop_assert_eq!(cluster.minted, minted);
        prop_assert!(cluster.all_hashes().is_subset(&held));
    }
}

#[test]
fn two_operators_that_decide_the_same_do_it_once() {
    let mut cluster = Cluster::new();
    for op in [Op::Look(0), Op::Look(1), Op::Act(0), Op::Act(1)] {
        cluster.run(&op);
    }
    assert_eq!((cluster.minted, cluster.secrets.len()), (1, 1));
    let first = cluster.hashes();
    for op in [Op::Ask(1), Op::Look(0), Op::Look(1), Op::Act(0), Op::Act(1), Op::Look(1), Op::Act(1)] {
        cluster.run(&op);
    }
    let second = cluster.hashes();
    assert_eq!(second.len(), 2);
    assert_eq!(second[1].0, first[0].0);
    assert_eq!(cluster.handled.values().copied().collect::<Vec<_>>(), [1]);
}
