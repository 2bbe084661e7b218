//! Identities in a cloud: what gateways exchange for keys and tokens that expire.
//!
//! Where an identity names no key of its own, the gateways' own is meant: that of their pods, or of the machine.

use serde::{Deserialize, Serialize};

use crate::Confidential;

/// An identity in a cloud.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "cloud")]
pub enum Identity {
    /// Signs requests (Signature Version 4).
    Aws(AwsIdentity),
    /// Sends tokens of Google Cloud.
    Google(GoogleAccount),
    /// Sends tokens of Microsoft Entra.
    Entra(EntraApplication),
}

/// Who calls AWS.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsIdentity {
    /// An access key; `None` = the gateways' own identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<AwsKeys>,
    /// The role that it takes on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<AssumedRole>,
    /// Whose STS is asked where the gateways are in no region themselves.
    pub region: String,
}

/// An AWS access key.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AwsKeys {
    /// Names the key; not secret.
    pub access_key_id: String,
    /// The key.
    pub secret_access_key: Confidential,
    /// Comes with keys that expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session_token: Option<Confidential>,
}

/// A role to assume.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AssumedRole {
    /// The role.
    pub arn: String,
    /// `<cluster>/<namespace>`: the role's trust policy may ask for it, and no tenant can choose it.
    pub external_id: String,
    /// Names the session in AWS's audit log.
    pub session: String,
}

/// Who calls Google Cloud.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct GoogleAccount {
    /// A service account's key; `None` = the gateways' own identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<ServiceAccount>,
}

/// What is used of a service account's key file.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ServiceAccount {
    /// The account.
    pub client_email: String,
    /// PKCS #8 in PEM.
    pub private_key: Confidential,
    /// Names the key to Google.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub private_key_id: Option<String>,
    /// Where the key is exchanged for tokens.
    #[serde(default = "ServiceAccount::usual_token_uri")]
    pub token_uri: String,
}

/// Who calls Azure. Absent fields are the gateways' own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntraApplication {
    /// The tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// The application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Its secret; `None` = the gateways prove with the token of their own pods that they may speak for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_secret: Option<Confidential>,
}

impl ServiceAccount {
    /// Reads a key file.
    ///
    /// # Errors
    /// What is wrong with it; quotes nothing of it.
    pub fn parse(json: &str) -> Result<Self, &'static str> {
        let file: serde_json::Value = serde_json::from_str(json).map_err(|_| "it is not JSON")?;
        if file.get("type").is_some_and(|kind| kind != "service_account") {
            return Err("its type is not service_account");
        }
        let account: Self = serde_json::from_value(file).map_err(|_| "it lacks client_email or private_key")?;
        if !account.private_key.expose().contains("-----BEGIN PRIVATE KEY-----") {
            return Err("its private_key is not a PKCS #8 key in PEM");
        }
        if !is_googles(&account.token_uri) {
            return Err("its token_uri is not an https address of googleapis.com");
        }
        Ok(account)
    }

    fn usual_token_uri() -> String {
        "https://oauth2.googleapis.com/token".to_owned()
    }
}

/// Keys must not be sent, even signed, to whoever wrote a key file.
fn is_googles(url: &str) -> bool {
    let host = url.strip_prefix("https://").and_then(|rest| rest.split(['/', '?', '#']).next());
    host.is_some_and(|host| {
        host.strip_suffix(".googleapis.com").is_some_and(|name| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte))
        })
    })
}
