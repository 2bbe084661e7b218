//! A small world: objects from manifests, compiled by the real renderer, and gateways that report what a test says.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use serde_json::{Value, json};
use turnpike_bundle::{
    Report, Secret, Settings,
    entry::ObjectRef,
    manifest::{Kind, Slots},
    objects::Value as SecretValue,
    problem::{ObjectId, ObjectKind},
    render,
    report::{FailingCredential, LoadedShard, Rejected},
};
use turnpike_crds::{Budget, Condition, ModelDeployment, VirtualKey};
use turnpike_operator::{
    engine::Engines,
    gateways::{Gateway, Gateways},
    publish::{Compiled, Published},
    spend::Spend,
    status::{
        View,
        fleet::Fleet,
        survey::{Known, Status, Survey, survey},
    },
    world::{Namespace, World},
};

/// The version of the bundle in which every entry became what it is.
pub(crate) const SINCE: u64 = 10;

/// What statuses are decided from.
#[derive(Clone, Default)]
pub(crate) struct Place {
    pub(crate) world: World,
    pub(crate) gateways: Gateways,
    pub(crate) spend: Spend,
    pub(crate) engines: Engines,
}

pub(crate) fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// A time at which most tests look.
pub(crate) fn now() -> Timestamp {
    time("2026-03-10T12:00:00Z")
}

pub(crate) fn at(name: &str) -> ObjectRef {
    ObjectRef { namespace: "team".to_owned(), name: name.to_owned() }
}

fn manifest(kind: &str, name: &str, spec: &Value) -> Value {
    json!({
        "apiVersion": "turnpike.dev/v1alpha1", "kind": kind, "spec": spec,
        "metadata": {
            "namespace": "team", "name": name, "uid": format!("uid-{name}"), "generation": 1, "resourceVersion": "1",
            "creationTimestamp": "2026-03-01T00:00:00Z",
        },
    })
}

impl Place {
    pub(crate) fn new() -> Self {
        let mut place = Self { engines: Engines::from_iter([]), ..Self::default() };
        place.world.namespaces.insert("team".to_owned(), Namespace::default());
        place
    }

    pub(crate) fn model(mut self, name: &str, spec: &Value) -> Self {
        let model: ModelDeployment = serde_json::from_value(manifest("ModelDeployment", name, spec)).unwrap();
        self.world.models.insert(at(name), Arc::new(model));
        self
    }

    pub(crate) fn key(mut self, name: &str, spec: &Value) -> Self {
        let key: VirtualKey = serde_json::from_value(manifest("VirtualKey", name, spec)).unwrap();
        self.world.keys.insert(at(name), Arc::new(key));
        self
    }

    pub(crate) fn budget(mut self, name: &str, spec: &Value) -> Self {
        let budget: Budget = serde_json::from_value(manifest("Budget", name, spec)).unwrap();
        self.world.budgets.insert(at(name), Arc::new(budget));
        self
    }

    /// A Secret with one key, `api-key`.
    pub(crate) fn secret(
        mut self,
        name: &str,
        value: &str,
        annotations: &[(&str, &str)],
        minted_for: Option<&str>,
    ) -> Self {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let secret = Secret {
            labels: [("turnpike.dev/use".to_owned(), "key".to_owned())].into(),
            annotations: annotations.iter().map(own).collect(),
            data: [("api-key".to_owned(), SecretValue::digested(value.as_bytes()))].into(),
            minted_for: minted_for.map(at),
            ..Secret::default()
        };
        self.world.secrets.insert(at(name), Arc::new(secret));
        self
    }

    /// Gateways that have loaded these versions of everything; `None` = no report yet.
    pub(crate) fn gateways(mut self, versions: &[Option<u64>]) -> Self {
        let gateway = |(number, version): (usize, &Option<u64>)| (format!("gateway-{number}"), gateway(*version));
        self.gateways = versions.iter().enumerate().map(gateway).collect();
        self
    }

    pub(crate) fn published(&self) -> Published {
        let settings = Settings { release_namespace: "llm".to_owned(), ..Settings::default() };
        let rendered = render(&self.world.objects(), &settings);
        let mut objects = BTreeMap::new();
        let mut add = |kind: ObjectKind, object: &ObjectRef, generation: Option<i64>, entry: Option<String>| {
            let id = ObjectId { kind, object: object.clone() };
            let of = |problems: &[turnpike_bundle::Problem]| {
                problems.iter().filter(|problem| problem.object == id).cloned().collect()
            };
            let compiled = Compiled {
                generation: generation.unwrap(),
                digest: entry.map(|entry| format!("{:016x}", entry.len())),
                since: SINCE,
                problems: of(&rendered.problems),
                warnings: of(&rendered.warnings),
                credential: None,
            };
            objects.insert(id, compiled);
        };
        let contents = &rendered.contents;
        for (object, model) in &self.world.models {
            let entry = contents.models.iter().find(|entry| entry.object == *object);
            let entry = entry.map(|entry| serde_json::to_string(entry).unwrap());
            add(ObjectKind::ModelDeployment, object, model.metadata.generation, entry);
        }
        for (object, key) in &self.world.keys {
            let entry = contents.keys.iter().find(|entry| entry.object == *object);
            let entry = entry.map(|entry| serde_json::to_string(entry).unwrap());
            add(ObjectKind::VirtualKey, object, key.metadata.generation, entry);
        }
        for (object, budget) in &self.world.budgets {
            let entry = contents.budgets.iter().find(|entry| entry.object == *object);
            let entry = entry.map(|entry| serde_json::to_string(entry).unwrap());
            add(ObjectKind::Budget, object, budget.metadata.generation, entry);
        }
        Published { manifest: None, objects }
    }

    pub(crate) fn survey(&self, now: Timestamp) -> Survey {
        self.survey_with(&self.published(), now)
    }

    pub(crate) fn survey_with(&self, published: &Published, now: Timestamp) -> Survey {
        let fleet = Fleet::new(&self.gateways);
        let gateway_url = Some("http://turnpike-gateway.llm.svc:4000");
        let (world, spend, engines) = (&self.world, &self.spend, &self.engines);
        let view = View { world, published, spend, engines, fleet: &fleet, gateway_url, now };
        survey(view, &Known::new())
    }

    /// Writes every draft, by way of JSON as an apiserver keeps it, and says how many there were.
    pub(crate) fn write(&mut self, survey: &Survey) -> usize {
        for (id, draft) in &survey.drafts {
            let text = serde_json::to_string(&draft.after).unwrap();
            match id.kind {
                ObjectKind::ModelDeployment => {
                    let model = self.world.models.get_mut(&id.object).unwrap();
                    Arc::make_mut(model).status = Some(serde_json::from_str(&text).unwrap());
                }
                ObjectKind::VirtualKey => {
                    let key = self.world.keys.get_mut(&id.object).unwrap();
                    Arc::make_mut(key).status = Some(serde_json::from_str(&text).unwrap());
                }
                ObjectKind::Budget => {
                    let budget = self.world.budgets.get_mut(&id.object).unwrap();
                    Arc::make_mut(budget).status = Some(serde_json::from_str(&text).unwrap());
                }
                ObjectKind::Secret | ObjectKind::File => panic!("{id} has no status"),
            }
        }
        survey.drafts.len()
    }
}

pub(crate) fn gateway(version: Option<u64>) -> Gateway {
    let report = version.map(|version| Arc::new(report(version)));
    Gateway { ready: true, running: true, report, ..Gateway::default() }
}

fn report(version: u64) -> Report {
    let shard = |kind: Kind| (kind.shard_name(0), LoadedShard { kind, slots: Slots::ALL, version, complete: true });
    Report { version, shards: Kind::ALL.into_iter().map(shard).collect(), ..Report::default() }
}

/// A gateway that left one entry out.
pub(crate) fn refusing(part: &str, reason: &str) -> Gateway {
    let rejections = vec![Rejected { part: part.to_owned(), reason: reason.to_owned() }];
    Gateway { report: Some(Arc::new(Report { rejections, ..report(SINCE) })), ..gateway(None) }
}

/// A gateway that has everything, and cannot renew this credential.
pub(crate) fn failing(digest: &str, reason: &str) -> Gateway {
    let failing = FailingCredential { digest: digest.to_owned(), since: 0, reason: reason.to_owned() };
    Gateway { report: Some(Arc::new(report(SINCE).with_failing(vec![failing]))), ..gateway(None) }
}

/// The status that a survey has for the one object of this name.
pub(crate) fn of<'a>(survey: &'a Survey, name: &str) -> &'a Status {
    let mut found = survey.drafts.iter().filter(|(id, _)| id.object.name == name);
    let (_, draft) = found.next().unwrap_or_else(|| panic!("no status for {name}"));
    assert!(found.next().is_none(), "several objects are called {name}");
    &draft.after
}

pub(crate) fn condition<'a>(status: &'a Status, kind: &str) -> Option<&'a Condition> {
    status.side().conditions.iter().find(|condition| condition.type_ == kind)
}

/// `Type=Status/Reason: message`, a line for each condition.
pub(crate) fn lines(status: &Status) -> Vec<String> {
    let line = |condition: &Condition| {
        let Condition { type_, status, reason, message, .. } = condition;
        format!("{type_}={status}/{reason}: {message}")
    };
    status.side().conditions.iter().map(line).collect()
}
