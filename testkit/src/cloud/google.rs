//! A service account with a key of its own, and the check of the grants that it signs.

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der, PublicKeyX509Der},
    rsa::{KeyPair, KeySize},
    signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey},
};
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{Rules, issue::only};

/// Where Google says that grants are for.
const AUDIENCE: &str = "https://oauth2.googleapis.com/token";
const EMAIL: &str = "turnpike@tests.iam.gserviceaccount.com";
const KEY_ID: &str = "0123456789abcdef";

/// A service account.
#[derive(Clone)]
pub struct ServiceAccount {
    public: Vec<u8>,
    private: Vec<u8>,
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(EMAIL)
    }
}

impl Default for ServiceAccount {
    /// With a new key.
    fn default() -> Self {
        let pair = KeyPair::generate(KeySize::Rsa2048).expect("randomness");
        let private = AsDer::<Pkcs8V1Der>::as_der(&pair).expect("a fresh key").as_ref().to_vec();
        let public = AsDer::<PublicKeyX509Der>::as_der(pair.public_key()).expect("a fresh key").as_ref().to_vec();
        Self { public, private }
    }
}

impl ServiceAccount {
    /// The key file, as Google Cloud makes it.
    pub fn file(&self) -> String {
        let base64 = STANDARD.encode(&self.private);
        let lines: Vec<String> =
            base64.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        let pem = format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n"));
        json!({
            "type": "service_account",
            "project_id": "tests",
            "private_key_id": KEY_ID,
            "private_key": pem,
            "client_email": EMAIL,
            "client_id": "1234567890",
            "auth_uri": "https://accounts.google.com/o/oauth2/auth",
            "token_uri": AUDIENCE,
            "universe_domain": "googleapis.com",
        })
        .to_string()
    }
}

/// Checks a grant: its form, its signature, its claims.
pub(super) fn granted(rules: &Rules, form: &BTreeMap<String, String>) -> Result<(), String> {
    let account = rules.service_account.as_ref().ok_or("the account is unknown")?;
    let assertion = form.get("assertion").cloned().unwrap_or_default();
    only(form, &[("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &assertion)])?;
    let (signed, signature) = assertion.rsplit_once('.').ok_or("the assertion is no JWT")?;
    let (head, claims) = signed.split_once('.').ok_or("the assertion is no JWT")?;
    let decode = |text: &str| URL_SAFE_NO_PAD.decode(text).map_err(|error| error.to_string());
    let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &account.public);
    key.verify(signed.as_bytes(), &decode(signature)?).map_err(|_| "Invalid JWT Signature.")?;
    let parse = |text: &str| -> Result<Value, String> {
        serde_json::from_slice(&decode(text)?).map_err(|error| error.to_string())
    };
    if parse(head)? != json!({"alg": "RS256", "typ": "JWT", "kid": KEY_ID}) {
        return Err(format!("unexpected header {}", parse(head)?));
    }
    let claims = parse(claims)?;
    let time = |name: &str| claims.get(name).and_then(Value::as_i64).unwrap_or_default();
    let (issued, expires) = (time("iat"), time("exp"));
    let expected = json!({
        "iss": EMAIL,
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": AUDIENCE,
        "iat": issued,
        "exp": expires,
    });
    if claims != expected {
        return Err(format!("unexpected claims {claims}"));
    }
    let now = Timestamp::now().as_second();
    if (now - issued).abs() > 60 || expires <= now || expires - issued > 3600 {
        return Err("Token must be a short-lived token (60 minutes) and in a reasonable timeframe.".to_owned());
    }
    Ok(())
}
