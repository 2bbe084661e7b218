//! Access keys of AWS: given, or issued to the gateway's own identity, and from there to a role.

use std::{sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use serde::Deserialize;
use turnpike_bundle::{
    Confidential,
    entry::{AssumedRole, AwsIdentity, AwsKeys},
};

use super::{
    Fresh,
    exchange::{Ask, Exchange, ExchangeError, Place, element, json, read, until},
};
use crate::upstream::sign::{self, Scope, Signer};

/// Version of STS's API.
const VERSION: (&str, &str) = ("Version", "2011-06-15");
const NOT_STS: ExchangeError = ExchangeError::Answer("it is not what STS answers");

/// Keys for this identity.
pub(super) async fn keys(exchange: Arc<Exchange>, identity: AwsIdentity) -> Result<Fresh<AwsKeys>, ExchangeError> {
    let base = match &identity.keys {
        Some(keys) => Fresh { value: keys.clone(), lifetime: None },
        None => own(&exchange, &identity).await?,
    };
    match &identity.role {
        Some(role) => assume(&exchange, &identity, &base.value, role).await,
        None => Ok(base),
    }
}

/// Of the gateway itself, in the order of AWS's SDKs. The machine's own identity only where that was asked for: every pod
/// of a node can take it.
pub(super) async fn own(exchange: &Exchange, identity: &AwsIdentity) -> Result<Fresh<AwsKeys>, ExchangeError> {
    const NONE: &str = "the gateway has no AWS identity: give its ServiceAccount a role (IRSA or EKS Pod Identity), or \
                        name keys in credentials.aws";
    let clouds = &exchange.clouds;
    if let (Some(id), Some(secret)) = (&clouds.aws_access_key_id, &clouds.aws_secret_access_key) {
        let value = AwsKeys {
            access_key_id: id.clone(),
            secret_access_key: secret.clone(),
            session_token: clouds.aws_session_token.clone(),
        };
        return Ok(Fresh { value, lifetime: None });
    }
    if let (Some(file), Some(role)) = (&clouds.aws_web_identity_token_file, &clouds.aws_role_arn) {
        let token = read(file).await?;
        let fields = [
            ("Action", "AssumeRoleWithWebIdentity"),
            VERSION,
            ("RoleArn", role),
            ("RoleSessionName", &clouds.aws_role_session_name),
            ("WebIdentityToken", &token),
        ];
        return issued(&exchange.ask(Ask::form(sts(exchange, identity), &fields)).await?);
    }
    if let Some(url) = &clouds.aws_container_credentials_url {
        let token = match &clouds.aws_container_token_file {
            Some(file) => read(file).await?,
            None => String::new(),
        };
        let token = HeaderValue::try_from(token);
        let token = token.map_err(|_| ExchangeError::Key("the container's token cannot be a header's value"))?;
        return container(&exchange.ask(Ask::local(url.clone(), (header::AUTHORIZATION, token))).await?);
    }
    match &clouds.aws_instance_metadata {
        Some(url) => machine(exchange, url.trim_end_matches('/')).await,
        None => Err(ExchangeError::Unset(NONE)),
    }
}

/// STS near the gateway, or near the model.
fn sts(exchange: &Exchange, identity: &AwsIdentity) -> String {
    let region = region(exchange, identity);
    let suffix = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    exchange.clouds.aws_sts_url.clone().unwrap_or_else(|| format!("https://sts.{region}.{suffix}/"))
}

fn region<'a>(exchange: &'a Exchange, identity: &'a AwsIdentity) -> &'a str {
    exchange.clouds.aws_region.as_deref().unwrap_or(&identity.region)
}

async fn assume(
    exchange: &Exchange,
    identity: &AwsIdentity,
    keys: &AwsKeys,
    role: &AssumedRole,
) -> Result<Fresh<AwsKeys>, ExchangeError> {
    let fields = [
        ("Action", "AssumeRole"),
        VERSION,
        ("RoleArn", &role.arn),
        ("RoleSessionName", &role.session),
        ("ExternalId", &role.external_id),
    ];
    let mut ask = Ask::form(sts(exchange, identity), &fields);
    let endpoint = ask.endpoint()?;
    let hash = sign::hash([ask.body.as_bytes()]);
    let scope = Scope { region: region(exchange, identity), service: "sts" };
    Signer { keys, scope, at: Timestamp::now() }
        .call(&Method::POST, &endpoint, &mut ask.headers, &hash)
        .ok_or(ExchangeError::Key("the access key cannot be part of a header"))?;
    issued(&exchange.ask(ask).await?)
}

/// STS's answer, in XML.
fn issued(body: &[u8]) -> Result<Fresh<AwsKeys>, ExchangeError> {
    let text = std::str::from_utf8(body).map_err(|_| NOT_STS)?;
    let credentials = element(text, "Credentials").ok_or(NOT_STS)?;
    let field = |name| element(credentials, name).ok_or(NOT_STS);
    let value = AwsKeys {
        access_key_id: field("AccessKeyId")?.to_owned(),
        secret_access_key: field("SecretAccessKey")?.into(),
        session_token: Some(field("SessionToken")?.into()),
    };
    Ok(Fresh { value, lifetime: Some(until(field("Expiration")?)?) })
}

/// What agents and metadata services answer.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Issued {
    access_key_id: String,
    secret_access_key: Confidential,
    token: Confidential,
    expiration: String,
}

fn container(body: &[u8]) -> Result<Fresh<AwsKeys>, ExchangeError> {
    let Issued { access_key_id, secret_access_key, token, expiration } = json(body)?;
    let value = AwsKeys { access_key_id, secret_access_key, session_token: Some(token) };
    Ok(Fresh { value, lifetime: Some(until(&expiration)?) })
}

/// The machine's own keys (`IMDSv2`).
async fn machine(exchange: &Exchange, url: &str) -> Result<Fresh<AwsKeys>, ExchangeError> {
    const TTL: Duration = Duration::from_mins(5);
    let ttl = (HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds"), HeaderValue::from(TTL.as_secs()));
    let mut ask = Ask::local(format!("{url}/latest/api/token"), ttl);
    (ask.method, ask.place) = (Method::PUT, Place::Local);
    let session = HeaderValue::from_maybe_shared(exchange.ask(ask).await?);
    let session = session.map_err(|_| ExchangeError::Answer("its token cannot be a header's value"))?;
    let get = |path: String| {
        let session = (HeaderName::from_static("x-aws-ec2-metadata-token"), session.clone());
        exchange.ask(Ask::local(format!("{url}/latest/meta-data/iam/security-credentials/{path}"), session))
    };
    let roles = get(String::new()).await?;
    let role = String::from_utf8_lossy(&roles).lines().next().unwrap_or_default().trim().to_owned();
    container(&get(role).await?)
}
