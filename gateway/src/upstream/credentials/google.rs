//! Tokens of Google Cloud: a service account's key signs a grant, an identity elsewhere is exchanged, or the metadata server
//! issues for the workload.

use std::sync::Arc;

use aws_lc_rs::{
    rand::SystemRandom,
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderName, HeaderValue};
use jiff::Timestamp;
use rustls::pki_types::{PrivatePkcs8KeyDer, pem::PemObject};
use serde_json::json;
use turnpike_bundle::entry::{GoogleAccount, ServiceAccount};

use super::{
    Fresh,
    exchange::{Ask, Exchange, ExchangeError, bearer, read},
    federated,
};

pub(super) const SCOPE: &str = "https://www.googleapis.com/auth/cloud-platform";
/// The longest that Google takes.
const GRANT_SECONDS: i64 = 3600;

/// A token for this account, or for the gateway's own.
pub(super) async fn token(
    exchange: Arc<Exchange>,
    account: GoogleAccount,
) -> Result<Fresh<HeaderValue>, ExchangeError> {
    let clouds = &exchange.clouds;
    if let Some(key) = &account.key {
        return granted(&exchange, key).await;
    }
    if let Some(file) = &clouds.google_key_file {
        let file = read(file).await?;
        if federated::is_one(&file) {
            return federated::token(&exchange, &file).await;
        }
        return granted(&exchange, &ServiceAccount::parse(&file).map_err(ExchangeError::Key)?).await;
    }
    let host = &clouds.google_metadata_host;
    let url = format!("http://{host}/computeMetadata/v1/instance/service-accounts/default/token");
    let flavor = (HeaderName::from_static("metadata-flavor"), HeaderValue::from_static("Google"));
    bearer(&exchange.ask(Ask::local(url, flavor)).await?)
}

/// RFC 7523: a signed grant for a token.
async fn granted(exchange: &Exchange, key: &ServiceAccount) -> Result<Fresh<HeaderValue>, ExchangeError> {
    let assertion = assertion(key, Timestamp::now())?;
    let url = exchange.clouds.google_token_url.clone().unwrap_or_else(|| key.token_uri.clone());
    let fields = [("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &assertion)];
    bearer(&exchange.ask(Ask::form(url, &fields)).await?)
}

/// The grant: a JWT signed with RS256.
fn assertion(key: &ServiceAccount, now: Timestamp) -> Result<String, ExchangeError> {
    let unusable = ExchangeError::Key("the service account's private_key is not an RSA key in PKCS #8");
    let pem = key.private_key.expose().as_bytes();
    let pair = PrivatePkcs8KeyDer::from_pem_slice(pem)
        .ok()
        .and_then(|der| RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()).ok())
        .ok_or(unusable)?;
    let mut head = json!({"alg": "RS256", "typ": "JWT"});
    if let (Some(id), Some(head)) = (&key.private_key_id, head.as_object_mut()) {
        head.insert("kid".to_owned(), id.as_str().into());
    }
    let at = now.as_second();
    let claims = json!({
        "iss": key.client_email,
        "scope": SCOPE,
        "aud": key.token_uri,
        "iat": at,
        "exp": at + GRANT_SECONDS,
    });
    let encode = |part: &serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let signed = format!("{}.{}", encode(&head), encode(&claims));
    let mut signature = vec![0; pair.public_modulus_len()];
    pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature)
        .map_err(|_| ExchangeError::Key("signing with the service account's private_key failed"))?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
