//! The Secret with the key that an engine asks of its callers, where its author brings none.

use std::collections::BTreeMap;

use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, Resource, ResourceExt, api::PostParams};
use turnpike_bundle::{
    entry::ObjectRef,
    objects::{self, USE_LABEL},
};
use turnpike_crds::ModelDeployment;
use turnpike_engine::names;

use crate::{
    context::Context,
    kit::{
        apply::{counted, label},
        owner::{Owner, owner},
    },
    metrics::Verb,
    names::{MANAGED_BY, MANAGED_BY_LABEL, Names},
    virtual_key::random::{Key, NoRandom},
};

/// Value of [`USE_LABEL`] on Secrets that engines read.
const USE: &str = "engine";

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The apiserver refused.
    #[error("the apiserver refused: {0}")]
    Api(#[from] kube::Error),
    /// No key could be made.
    #[error(transparent)]
    NoRandom(#[from] NoRandom),
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Minted {
    /// The key is there.
    Done,
    /// The Secret is about to go, or has changed: to be tried again soon.
    Again,
    /// The Secret is somebody else's.
    Taken,
}

/// Whether a key has to be made, as far as is known: the author brings none, and there is none as it should be.
pub fn is_wanted(model: &ModelDeployment, secrets: &BTreeMap<ObjectRef, std::sync::Arc<objects::Secret>>) -> bool {
    let Some(spec) = &model.spec.vllm else { return false };
    if spec.api_key_secret_ref.is_some() || model.metadata.deletion_timestamp.is_some() {
        return false;
    }
    let at = ObjectRef { namespace: model.namespace().unwrap_or_default(), name: names::key_secret(&model.name_any()) };
    secrets.get(&at).is_none_or(|secret| {
        let holds = secret.data.get(names::KEY).is_some_and(|value| value.digest().length > 0);
        !holds || !is_labelled(&secret.labels, &model.name_any())
    })
}

/// Makes the Secret where there is none, and mends ours.
///
/// # Errors
/// The apiserver refused, or the system has no random numbers.
pub async fn mint(context: &Context, model: &ModelDeployment) -> Result<Minted, Error> {
    let api = Api::<Secret>::namespaced(context.client.clone(), &model.namespace().unwrap_or_default());
    let params = PostParams { field_manager: Some(context.names.field_manager()), ..PostParams::default() };
    let secret = new(&context.names, model, Key::random()?);
    let write = api.create(&params, &secret);
    match counted::<Secret, _>(context, Verb::Create, write).await {
        Ok(_) => return Ok(Minted::Done),
        Err(kube::Error::Api(status)) if status.is_already_exists() => {}
        Err(error) => return Err(error.into()),
    }
    let Some(found) = api.get_opt(&secret.name_any()).await? else { return Ok(Minted::Again) };
    match owner(&found, model) {
        Owner::Predecessor => Ok(Minted::Again),
        Owner::Other => Ok(Minted::Taken),
        Owner::This => match mended(&context.names, model, &found, secret) {
            None => Ok(Minted::Done),
            Some(mended) => {
                let name = mended.name_any();
                let write = api.replace(&name, &params, &mended);
                counted::<Secret, _>(context, Verb::Update, write).await?;
                Ok(Minted::Done)
            }
        },
    }
}

fn new(names: &Names, model: &ModelDeployment, key: Key) -> Secret {
    let mut secret = Secret {
        metadata: ObjectMeta {
            name: Some(names::key_secret(&model.name_any())),
            namespace: model.namespace(),
            owner_references: model.controller_owner_ref(&()).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".to_owned()),
        data: Some(BTreeMap::from([(names::KEY.to_owned(), ByteString(key.into_bytes()))])),
        ..Secret::default()
    };
    mark(names, model, &mut secret);
    secret
}

/// The Secret as it should be, with the key that it has if it has one; `None` = it is so already.
pub fn mended(names: &Names, model: &ModelDeployment, found: &Secret, fresh: Secret) -> Option<Secret> {
    let key = found.data.as_ref().and_then(|data| data.get(names::KEY)).filter(|key| !key.0.is_empty());
    if key.is_some() && is_labelled(found.labels(), &model.name_any()) {
        return None;
    }
    let mut mended = found.clone();
    if key.is_none() {
        mended.data = fresh.data;
    }
    mark(names, model, &mut mended);
    Some(mended)
}

fn mark(names: &Names, model: &ModelDeployment, secret: &mut Secret) {
    label(names, secret);
    secret.labels_mut().insert(USE_LABEL.to_owned(), USE.to_owned());
    secret.labels_mut().insert(names::MODEL_LABEL.to_owned(), model.name_any());
}

fn is_labelled(labels: &BTreeMap<String, String>, model: &str) -> bool {
    let has = |name: &str, value: &str| labels.get(name).is_some_and(|found| found == value);
    has(USE_LABEL, USE) && has(MANAGED_BY_LABEL, MANAGED_BY) && has(names::MODEL_LABEL, model)
}
