//! Makes the two Secrets that nobody brings: the gateways' token and the admin key. What is there is kept.

use std::{collections::BTreeMap, fmt::Write as _};

use jiff::Timestamp;
use k8s_openapi::{ByteString, api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::{Api, api::PostParams};
use rand::{TryRng, rngs::SysRng};
use turnpike_bundle::layout::{ADMIN_SHA256, PREVIOUS_TOKEN, TOKEN};

use crate::{
    context::Context,
    kit::{
        apply::{counted, label, stamp},
        backoff::brief,
    },
    metrics::Verb,
    publish::tokens::GatewayAuth,
};

/// Data key of the admin's Secret.
pub const ADMIN_KEY: &str = "key";
/// Annotation of the gateways' Secret: when its token was made, RFC 3339.
pub const ROTATED_AT: &str = "turnpike.dev/rotated-at";

/// Why there are no tokens.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The apiserver refused; a conflict means that another process was faster.
    #[error("{}", brief(.0))]
    Kube(#[from] kube::Error),
    /// There is nothing to make them of.
    #[error("the system gave no random numbers: {0}")]
    Random(String),
}

/// Has both Secrets hold what they should. The answer: when time alone changes that.
///
/// # Errors
/// Worth another try; nothing is half done.
pub async fn ensure(context: &Context, now: Timestamp) -> Result<Option<Timestamp>, MintError> {
    let api = Api::<Secret>::namespaced(context.client.clone(), &context.names.release_namespace);
    let admin = match api.get_opt(&context.names.admin_secret()).await? {
        Some(admin) => admin,
        None => create(context, &api, admin_secret(context)?).await?,
    };
    let admin_key = admin.data.as_ref().and_then(|data| data.get(ADMIN_KEY)).map(|key| key.0.as_slice());
    let found = api.get_opt(&context.names.gateway_secret()).await?;
    let before = found.as_ref().map(read).unwrap_or_default();
    let wanted = before.at(now, admin_key, random()?);
    if found.is_none() || wanted != before {
        let mut secret = found.clone().unwrap_or_default();
        secret.metadata.name = Some(context.names.gateway_secret());
        secret.metadata.namespace = Some(context.names.release_namespace.clone());
        fill(&mut secret, &wanted);
        if found.is_some() {
            // Its owner stays whoever it was: only what is missing is added, and only over what was read.
            label(&context.names, &mut secret);
            let name = context.names.gateway_secret();
            let params = post(context);
            let update = api.replace(&name, &params, &secret);
            counted::<Secret, _>(context, Verb::Update, update).await?;
        } else {
            stamp(context, &mut secret);
            create(context, &api, secret).await?;
        }
        tracing::info!(secret = context.names.gateway_secret(), "the gateways' tokens were written");
    }
    Ok(wanted.due())
}

/// What the gateways' Secret holds.
pub fn read(secret: &Secret) -> GatewayAuth {
    let text = |key: &str| {
        let bytes = secret.data.as_ref()?.get(key)?;
        std::str::from_utf8(&bytes.0).ok().map(str::to_owned)
    };
    let rotated_at = secret.metadata.annotations.as_ref().and_then(|annotations| annotations.get(ROTATED_AT));
    GatewayAuth {
        token: text(TOKEN),
        previous: text(PREVIOUS_TOKEN),
        admin_sha256: text(ADMIN_SHA256),
        rotated_at: rotated_at.and_then(|text| text.parse().ok()),
    }
}

/// Has the gateways' Secret hold this; what else is in it stays.
pub fn fill(secret: &mut Secret, auth: &GatewayAuth) {
    let data = secret.data.get_or_insert_default();
    for (key, value) in [(TOKEN, &auth.token), (PREVIOUS_TOKEN, &auth.previous), (ADMIN_SHA256, &auth.admin_sha256)] {
        match value {
            Some(value) => data.insert(key.to_owned(), ByteString(value.clone().into_bytes())),
            None => data.remove(key),
        };
    }
    let annotations = secret.metadata.annotations.get_or_insert_default();
    match auth.rotated_at {
        Some(at) => annotations.insert(ROTATED_AT.to_owned(), at.to_string()),
        None => annotations.remove(ROTATED_AT),
    };
}

fn admin_secret(context: &Context) -> Result<Secret, MintError> {
    let metadata = ObjectMeta {
        name: Some(context.names.admin_secret()),
        namespace: Some(context.names.release_namespace.clone()),
        ..ObjectMeta::default()
    };
    let data = BTreeMap::from([(ADMIN_KEY.to_owned(), ByteString(format!("sk-{}", random()?).into_bytes()))]);
    let mut secret = Secret { metadata, data: Some(data), ..Secret::default() };
    stamp(context, &mut secret);
    Ok(secret)
}

/// 256 bits in hex.
fn random() -> Result<String, MintError> {
    let mut bytes = [0_u8; 32];
    SysRng.try_fill_bytes(&mut bytes).map_err(|error| MintError::Random(error.to_string()))?;
    Ok(bytes.iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

/// Creates a Secret, or reads the one that somebody else has made meanwhile.
async fn create(context: &Context, api: &Api<Secret>, secret: Secret) -> kube::Result<Secret> {
    match counted::<Secret, _>(context, Verb::Create, api.create(&post(context), &secret)).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => {
            api.get(secret.metadata.name.as_deref().unwrap_or_default()).await
        }
        other => other,
    }
}

fn post(context: &Context) -> PostParams {
    PostParams { field_manager: Some(context.names.field_manager()), ..PostParams::default() }
}
