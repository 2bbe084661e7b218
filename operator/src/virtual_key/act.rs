//! Does what [`plan`] decides: reads afresh before it writes a Secret, and makes one write a step.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{
    Api, Resource, ResourceExt,
    api::{DeleteParams, PatchParams, PostParams, Preconditions},
};
use turnpike_bundle::objects::object_ref;
use turnpike_crds::{VirtualKey, virtual_key::Generate};

use crate::{
    context::Context,
    kit::{
        apply::{counted, is_terminating},
        backoff::Failure,
        owner::{Owner, owner},
    },
    metrics::Verb,
    virtual_key::{
        change::{Change, Found, Told, Write, change},
        finalizer,
        minted::Held,
        plan::{Facts, Place, Step, plan, secret_name},
        random::{Key, NoRandom},
    },
};

/// Why a step was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The apiserver refused.
    #[error("the apiserver refused: {0}")]
    Api(#[from] kube::Error),
    /// What was read is not what is there any more.
    #[error("the object has changed")]
    Changed,
    /// No key could be made.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
    /// A patch is no patch: a bug.
    #[error(transparent)]
    Patch(#[from] serde_json::Error),
}

impl Error {
    /// What it means for the next try.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Api(error) => Failure::of(error),
            Self::Changed => Failure::Conflict,
            Self::NoRandom(_) | Self::Patch(_) => Failure::Error,
        }
    }

    /// What people are told: the apiserver's words only where they cannot quote what was sent.
    pub fn told(&self) -> String {
        match self {
            Self::Api(kube::Error::Api(status)) if status.code == 403 => status.message.clone(),
            Self::Api(kube::Error::Api(status)) => {
                format!("the apiserver refused: {} ({})", status.reason, status.code)
            }
            Self::Api(_) => "the apiserver cannot be reached".to_owned(),
            Self::Changed | Self::NoRandom(_) | Self::Patch(_) => self.to_string(),
        }
    }
}

/// What came of a piece of work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    /// Nothing is left; look again then, `None` = on the next change.
    Rest(Option<Timestamp>),
    /// A Secret of this uid has the name that the key's is to have.
    Taken {
        /// When to look again.
        again: Option<Timestamp>,
        /// The Secret's uid.
        uid: String,
    },
}

/// One object that a step is for.
pub struct Work {
    /// Handles.
    pub context: Context,
    /// The object as last seen.
    pub object: VirtualKey,
    /// Its key was made before.
    pub was_minted: bool,
    /// The wall clock.
    pub now: Timestamp,
}

impl Work {
    /// Has the object wait for us when it is deleted; returns it as it then is.
    ///
    /// # Errors
    /// The object has changed, or the apiserver refused.
    pub async fn add_finalizer(&self) -> Result<VirtualKey, Error> {
        self.patch(finalizer::add(&self.object, &self.context.names.finalizer())).await
    }

    /// Lets the object go.
    ///
    /// # Errors
    /// The object has changed, or the apiserver refused.
    pub async fn remove_finalizer(&self) -> Result<(), Error> {
        match finalizer::remove(&self.object.metadata, &self.context.names.finalizer()) {
            Some(operations) => self.patch(operations).await.map(|_| ()).or_else(gone),
            None => Ok(()),
        }
    }

    /// Makes the Secret what it has to be now. `elsewhere` as in [`Facts`].
    ///
    /// # Errors
    /// Something has changed meanwhile, or the apiserver refused.
    pub async fn secret(&self, generate: &Generate, elsewhere: Option<String>) -> Result<Done, Error> {
        let secrets = self.secrets();
        let secret = secrets.get_opt(&secret_name(&self.object, generate)).await?;
        let old = match &elsewhere {
            Some(name) => secrets.get_opt(name).await?.filter(|old| owner(old, &self.object) == Owner::This),
            None => None,
        };
        // Read last: what the object asks for is then at least as new as the Secret, whose write fails if it changes.
        let Some(object) = self.keys().get_opt(&self.object.name_any()).await? else { return Ok(Done::Rest(None)) };
        if object.metadata.uid != self.object.metadata.uid || object.spec.generate.as_ref() != Some(generate) {
            return Err(Error::Changed);
        }
        let place = secret.as_ref().map_or(Place::Free, |secret| match owner(secret, &object) {
            Owner::This => Place::Ours(Held::of(secret, generate)),
            Owner::Predecessor => Place::Leaving,
            Owner::Other => Place::Taken,
        });
        let elsewhere = old.as_ref().and_then(|old| old.metadata.name.clone());
        let finalizer = self.context.names.finalizer();
        // A namespace that is being deleted refuses by itself.
        let facts =
            Facts { object: &object, finalizer: &finalizer, place, elsewhere, terminating: false, now: self.now };
        let plan = plan(&facts);
        let taken_by = secret.as_ref().and_then(ResourceExt::uid).unwrap_or_default();
        if plan.step == Step::AddFinalizer {
            return Err(Error::Changed);
        }
        let found = Found { secret, old, was_minted: self.was_minted };
        let change = change(&self.context.names, &plan.step, (&object, generate), found, (Key::random, self.now))?;
        match change {
            None if plan.step == Step::Taken => Ok(Done::Taken { again: plan.again, uid: taken_by }),
            None => Ok(Done::Rest(plan.again)),
            Some(change) => self.write(change).await.map(|()| Done::Rest(plan.again)),
        }
    }

    async fn write(&self, Change { write, told }: Change) -> Result<(), Error> {
        match write {
            Write::Create(secret) => match self.create(&secret).await {
                // The rest of it goes as well.
                Err(Error::Api(error)) if is_terminating(&error) => return Ok(()),
                created => created?,
            },
            Write::Replace(secret) => self.replace(&secret).await?,
            Write::Delete(secret) => self.discard(&secret).await?,
        }
        if let Some(told) = told {
            self.tell(told);
        }
        Ok(())
    }

    async fn create(&self, secret: &Secret) -> Result<(), Error> {
        let written = self.secrets();
        let params = self.params();
        let write = written.create(&params, secret);
        match counted::<Secret, _>(&self.context, Verb::Create, write).await {
            Ok(_) => Ok(()),
            // Somebody was faster: what is there now decides.
            Err(kube::Error::Api(status)) if status.is_already_exists() => Err(Error::Changed),
            Err(error) => Err(error.into()),
        }
    }

    async fn replace(&self, secret: &Secret) -> Result<(), Error> {
        let name = secret.name_any();
        let written = self.secrets();
        let params = self.params();
        let write = written.replace(&name, &params, secret);
        match counted::<Secret, _>(&self.context, Verb::Update, write).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Err(Error::Changed),
            Err(error) => Err(error.into()),
        }
    }

    async fn discard(&self, old: &Secret) -> Result<(), Error> {
        let name = old.name_any();
        let preconditions = Preconditions { uid: old.uid(), resource_version: old.resource_version() };
        let params = DeleteParams::default().preconditions(preconditions);
        let written = self.secrets();
        let write = written.delete(&name, &params);
        counted::<Secret, _>(&self.context, Verb::Delete, write).await.map(|_| ()).map_err(Error::from).or_else(gone)
    }

    async fn patch(&self, operations: Vec<serde_json::Value>) -> Result<VirtualKey, Error> {
        let patch = finalizer::patch(operations)?;
        let name = self.object.name_any();
        let keys = self.keys();
        let params = PatchParams { field_manager: Some(self.context.names.field_manager()), ..PatchParams::default() };
        let write = keys.patch(&name, &params, &patch);
        match counted::<VirtualKey, _>(&self.context, Verb::Patch, write).await {
            Ok(object) => Ok(object),
            // A test of the patch failed.
            Err(kube::Error::Api(status)) if status.code == 422 => Err(Error::Changed),
            Err(error) => Err(error.into()),
        }
    }

    /// Tells people about the object.
    pub fn tell(&self, Told { kind, reason, action, note }: Told) {
        self.context.events.publish(self.object.object_ref(&()), kind, reason, action, note);
    }

    fn params(&self) -> PostParams {
        PostParams { field_manager: Some(self.context.names.field_manager()), ..PostParams::default() }
    }

    fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.context.client.clone(), &object_ref(&self.object).namespace)
    }

    fn keys(&self) -> Api<VirtualKey> {
        Api::namespaced(self.context.client.clone(), &object_ref(&self.object).namespace)
    }
}

/// What was to be removed is not there: done.
fn gone(error: Error) -> Result<(), Error> {
    match error {
        Error::Api(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        error => Err(error),
    }
}
