//! Writes one child after the other as [`crate::engine::plan`] decides, and says what came of it.

use std::collections::BTreeMap;

use kube::{
    Api, ResourceExt,
    api::{DeleteParams, Patch, PatchParams, Preconditions},
    core::DynamicObject,
};
use turnpike_bundle::entry::ObjectRef;
use turnpike_crds::ModelDeployment;

use crate::{
    context::Context,
    engine::{
        desired::{replicas_alone, with_replicas},
        kind::Kind,
        plan::Step,
    },
    kit::{
        apply::{counted_as, is_terminating},
        backoff::{Failure, brief},
        owner::{Owner, owner},
    },
    metrics::Verb,
};

/// What came of the writes for one engine.
#[derive(Debug, Default)]
pub struct Done {
    /// What was sent, and the object as the apiserver then had it.
    pub written: Vec<(Kind, DynamicObject, DynamicObject)>,
    /// What is not there any more.
    pub deleted: Vec<Kind>,
    /// The first failure: for the next try, and in the apiserver's words.
    pub failed: Option<(Failure, String)>,
    /// The apiserver has refused a child for what it is, such as for a quota: its words.
    pub refused: Option<String>,
}

/// One engine to be written.
pub struct Work {
    /// Handles.
    pub context: Context,
    /// Whose it is.
    pub at: ObjectRef,
    /// The model.
    pub model: std::sync::Arc<ModelDeployment>,
    /// What it is to have.
    pub desired: BTreeMap<Kind, DynamicObject>,
    /// What lies there.
    pub seen: BTreeMap<Kind, std::sync::Arc<DynamicObject>>,
}

impl Work {
    /// Does the steps in their order. A child that is refused does not hold up the others.
    pub async fn run(self, steps: Vec<Step>) -> Done {
        let mut done = Done::default();
        for step in steps {
            if let Err(error) = self.step(step, &mut done).await {
                note(&mut done, step, &error);
            }
        }
        done
    }

    async fn step(&self, step: Step, done: &mut Done) -> kube::Result<()> {
        match step {
            Step::Make(kind) => self.make(kind, done).await,
            Step::Apply(kind) => match self.desired.get(&kind) {
                Some(desired) => self.apply(kind, desired.clone(), done).await,
                None => Ok(()),
            },
            Step::HandOver(replicas) => self.hand_over(replicas).await,
            Step::Delete(kind) => self.delete(kind, done).await,
            Step::Taken(kind) => {
                done.refused.get_or_insert_with(|| self.taken(kind));
                Ok(())
            }
        }
    }

    /// The API has no server-side apply that only creates, so there is a look before it. What comes in between is lost by
    /// whoever made it, in the same moment in which it was made.
    async fn make(&self, kind: Kind, done: &mut Done) -> kube::Result<()> {
        let Some(desired) = self.desired.get(&kind) else { return Ok(()) };
        match self.api(kind).get_metadata_opt(&desired.name_any()).await? {
            Some(found) if owner(&found, self.model.as_ref()) == Owner::Other => {
                done.refused.get_or_insert_with(|| self.taken(kind));
                return Ok(());
            }
            // The watch has not told of it yet, or it is about to go.
            Some(found) if found.metadata.deletion_timestamp.is_some() => return Ok(()),
            _ => {}
        }
        let scaling = self.model.spec.vllm.as_ref().and_then(|spec| spec.autoscaling.as_ref());
        let object = match scaling {
            Some(scaling) if kind == Kind::Deployment => with_replicas(desired.clone(), scaling.min_replicas.max(0)),
            _ => desired.clone(),
        };
        self.apply(kind, object, done).await
    }

    async fn apply(&self, kind: Kind, object: DynamicObject, done: &mut Done) -> kube::Result<()> {
        let answer = self.patch(kind, &self.context.names.field_manager(), &object).await?;
        done.written.push((kind, object, answer));
        Ok(())
    }

    async fn hand_over(&self, replicas: i32) -> kube::Result<()> {
        let Some(deployment) = self.seen.get(&Kind::Deployment) else { return Ok(()) };
        let alone = replicas_alone(deployment, replicas);
        self.patch(Kind::Deployment, &self.context.names.replicas_manager(), &alone).await.map(|_| ())
    }

    async fn patch(&self, kind: Kind, manager: &str, object: &DynamicObject) -> kube::Result<DynamicObject> {
        let (api, params) = (self.api(kind), PatchParams::apply(manager).force());
        // Another object of the name than the one that was looked at is left alone.
        let mut sent = object.clone();
        sent.metadata.uid = self.seen.get(&kind).and_then(|seen| seen.uid());
        let (name, patch) = (object.name_any(), Patch::Apply(&sent));
        counted_as(&self.context, &kind.resource().kind, Verb::Apply, api.patch(&name, &params, &patch)).await
    }

    async fn delete(&self, kind: Kind, done: &mut Done) -> kube::Result<()> {
        let Some(seen) = self.seen.get(&kind) else { return Ok(()) };
        let preconditions = Preconditions { uid: seen.uid(), resource_version: None };
        let params = DeleteParams::background().preconditions(preconditions);
        let (api, name) = (self.api(kind), seen.name_any());
        match counted_as(&self.context, &kind.resource().kind, Verb::Delete, api.delete(&name, &params)).await {
            Err(kube::Error::Api(status)) if status.is_not_found() => {}
            deleted => drop(deleted?),
        }
        done.deleted.push(kind);
        Ok(())
    }

    fn taken(&self, kind: Kind) -> String {
        let (kind, name) = (kind.resource().kind, kind.name(&self.at.name));
        format!("the {kind} {name} exists and was not made for this model; rename or delete it")
    }

    fn api(&self, kind: Kind) -> Api<DynamicObject> {
        Api::namespaced_with(self.context.client.clone(), &self.at.namespace, &kind.resource())
    }
}

/// Takes a failure down.
fn note(done: &mut Done, step: Step, error: &kube::Error) {
    let kind = match step {
        Step::Make(kind) | Step::Apply(kind) | Step::Delete(kind) | Step::Taken(kind) => kind,
        Step::HandOver(_) => Kind::Deployment,
    };
    if is_terminating(error) {
        // The rest of the namespace goes as well.
        return;
    }
    let words = format!("{}: {}", kind.resource().kind, brief(error));
    let failure = Failure::of(error);
    if is_refusal(error) {
        done.refused.get_or_insert_with(|| words.clone());
    }
    if done.failed.as_ref().is_none_or(|(known, _)| *known == Failure::Conflict) {
        done.failed = Some((failure, words));
    }
}

/// Whether the same again would be answered alike.
fn is_refusal(error: &kube::Error) -> bool {
    match error {
        kube::Error::Api(status) => matches!(status.code, 400 | 403 | 404 | 422),
        _ => false,
    }
}
