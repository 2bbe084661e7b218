//! Google's workload identity federation (`external_account` files, AIP-4117): who the gateway is elsewhere, exchanged for
//! a token of Google Cloud.
//!
//! Only the gateway's own file may say so: it names files of the pod and addresses that its tokens are sent to.

use std::{collections::BTreeMap, path::PathBuf};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use jiff::Timestamp;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use turnpike_bundle::entry::AwsIdentity;

use super::{
    Fresh, aws,
    exchange::{Ask, Exchange, ExchangeError, Place, bearer, json as parsed, read, until},
    google::SCOPE,
};
use crate::upstream::sign::{self, Scope, Signer};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const SECONDS: u64 = 3600;

/// Such a file.
#[derive(Deserialize)]
pub(super) struct ExternalAccount {
    audience: String,
    subject_token_type: String,
    token_url: String,
    /// Whom the pool's member then speaks for.
    service_account_impersonation_url: Option<String>,
    service_account_impersonation: Option<Impersonation>,
    credential_source: Source,
}

#[derive(Deserialize)]
struct Impersonation {
    token_lifetime_seconds: Option<u64>,
}

/// Where the proof of who the gateway is comes from.
#[derive(Deserialize)]
#[serde(untagged)]
enum Source {
    /// AWS: a signed question who asks, which Google puts to AWS. The keys are the gateway's own.
    Aws { environment_id: String, regional_cred_verification_url: String },
    File {
        file: PathBuf,
        #[serde(default)]
        format: Format,
    },
    Url {
        url: String,
        #[serde(default)]
        headers: BTreeMap<String, String>,
        #[serde(default)]
        format: Format,
    },
}

#[derive(Default, Deserialize)]
struct Format {
    #[serde(rename = "type")]
    kind: Option<String>,
    subject_token_field_name: Option<String>,
}

/// Whether a credential file is one of these.
pub(super) fn is_one(file: &str) -> bool {
    serde_json::from_str::<Value>(file)
        .is_ok_and(|file| file.get("type").is_some_and(|kind| kind == "external_account"))
}

/// A token by way of this file.
pub(super) async fn token(exchange: &Exchange, file: &str) -> Result<Fresh<HeaderValue>, ExchangeError> {
    const UNREADABLE: ExchangeError = ExchangeError::Key(
        "the external_account file lacks audience, subject_token_type, token_url, or a credential_source with file, url \
         or AWS's environment_id",
    );
    let account: ExternalAccount = serde_json::from_str(file).map_err(|_| UNREADABLE)?;
    let subject = account.subject(exchange).await?;
    let fields = [
        ("grant_type", EXCHANGE),
        ("audience", &account.audience),
        ("scope", SCOPE),
        ("requested_token_type", ACCESS_TOKEN),
        ("subject_token_type", &account.subject_token_type),
        ("subject_token", &subject),
    ];
    let federated = bearer(&exchange.ask(Ask::form(account.token_url.clone(), &fields)).await?)?;
    match &account.service_account_impersonation_url {
        Some(url) => impersonated(exchange, url, federated.value, account.seconds()).await,
        None => Ok(federated),
    }
}

impl ExternalAccount {
    fn seconds(&self) -> u64 {
        let asked = self.service_account_impersonation.as_ref().and_then(|asked| asked.token_lifetime_seconds);
        asked.unwrap_or(SECONDS)
    }

    async fn subject(&self, exchange: &Exchange) -> Result<String, ExchangeError> {
        match &self.credential_source {
            Source::Aws { environment_id, .. } if environment_id != "aws1" => Err(ExchangeError::Key(
                "the external_account file is of another version of AWS's environment than aws1",
            )),
            Source::Aws { regional_cred_verification_url, .. } => {
                caller(exchange, regional_cred_verification_url, &self.audience).await
            }
            // Read each time: whoever runs the pod replaces it.
            Source::File { file, format } => format.token(read(file).await?),
            Source::Url { url, headers, format } => {
                let headers = headers.iter().map(|(name, value)| Some((name.parse().ok()?, value.parse().ok()?)));
                let headers: Option<HeaderMap> = headers.collect();
                let headers =
                    headers.ok_or(ExchangeError::Key("the external_account file names headers that cannot be sent"))?;
                let ask =
                    Ask { place: Place::Local, method: Method::GET, url: url.clone(), headers, body: String::new() };
                let answer = exchange.ask(ask).await?;
                format.token(String::from_utf8_lossy(&answer).trim().to_owned())
            }
        }
    }
}

impl Format {
    fn token(&self, text: String) -> Result<String, ExchangeError> {
        const NO_TOKEN: ExchangeError =
            ExchangeError::Key("the external_account file's source holds no text under its subject_token_field_name");
        if self.kind.as_deref() != Some("json") {
            return Ok(text);
        }
        let object: Value = serde_json::from_str(&text).map_err(|_| NO_TOKEN)?;
        let name = self.subject_token_field_name.as_deref().unwrap_or_default();
        object.get(name).and_then(Value::as_str).map(str::to_owned).ok_or(NO_TOKEN)
    }
}

/// A question to AWS's STS who asks, signed by the gateway's own keys and for this audience only.
async fn caller(exchange: &Exchange, url: &str, audience: &str) -> Result<String, ExchangeError> {
    const NO_REGION: &str = "no AWS region is known; set AWS_REGION of the gateway";
    let region = exchange.clouds.aws_region.clone().ok_or(ExchangeError::Unset(NO_REGION))?;
    let identity = AwsIdentity { region: region.clone(), ..AwsIdentity::default() };
    let keys = aws::own(exchange, &identity).await?.value;
    let url = url.replace("{region}", &region);
    let no_header = ExchangeError::Key("the external_account file's audience cannot be part of a header");
    let target = HeaderValue::from_str(audience).map_err(|_| no_header)?;
    let target = (HeaderName::from_static("x-goog-cloud-target-resource"), target);
    let ask = Ask { method: Method::POST, ..Ask::local(url.clone(), target) };
    let endpoint = ask.endpoint()?;
    let mut signed: Vec<(&str, &[u8])> =
        ask.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    signed.push(("host", endpoint.origin.header.as_bytes()));
    let request = sign::Signable {
        method: "POST",
        path: endpoint.target.path(),
        query: endpoint.target.query().unwrap_or_default(),
        headers: &signed,
        body: &sign::hash([b""]),
    };
    let scope = Scope { region: &region, service: "sts" };
    let added = Signer { keys: &keys, scope, at: Timestamp::now() }.sign(&request);
    let added = added.ok_or(ExchangeError::Key("the access key cannot be part of a header"))?;
    let own = signed.iter().map(|(name, value)| ((*name).to_owned(), String::from_utf8_lossy(value).into_owned()));
    let added =
        added.iter().map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()));
    let headers: Vec<Value> = own.chain(added).map(|(key, value)| json!({"key": key, "value": value})).collect();
    let question = json!({"url": url, "method": "POST", "headers": headers}).to_string();
    Ok(utf8_percent_encode(&question, NON_ALPHANUMERIC).to_string())
}

/// A service account's token for the member of the pool.
async fn impersonated(
    exchange: &Exchange,
    url: &str,
    member: HeaderValue,
    seconds: u64,
) -> Result<Fresh<HeaderValue>, ExchangeError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Issued {
        access_token: String,
        expire_time: String,
    }
    let kind = HeaderValue::from_static("application/json");
    let headers = [(header::AUTHORIZATION, member), (header::CONTENT_TYPE, kind)].into_iter().collect();
    let body = json!({"delegates": [], "scope": [SCOPE], "lifetime": format!("{seconds}s")}).to_string();
    let ask = Ask { place: Place::Public, method: Method::POST, url: url.to_owned(), headers, body };
    let Issued { access_token, expire_time } = parsed(&exchange.ask(ask).await?)?;
    let value = HeaderValue::try_from(format!("Bearer {access_token}"));
    let mut value = value.map_err(|_| ExchangeError::Answer("its accessToken cannot be a header's value"))?;
    value.set_sensitive(true);
    Ok(Fresh { value, lifetime: Some(until(&expire_time)?) })
}
