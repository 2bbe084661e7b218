//! The key and the headers that a provider call carries, all of them kept out of `ConfigMap`s.

use http::{HeaderName, HeaderValue};
use turnpike_crds::model_deployment::{Header, Provider};

use crate::{
    canonical,
    entry::{CredentialEntry, Identity, ObjectRef},
    problem::{Report, Reported},
    render::{
        Context, identity,
        secrets::{self, Use},
    },
};

/// Hex digits of a digest: 128 bits.
const DIGEST_LENGTH: usize = 32;

/// The credential entry; `None` = there is nothing to send.
pub(super) fn compile(
    context: Context<'_>,
    object: &ObjectRef,
    spec: &Provider,
    report: &mut Report,
) -> Result<Option<CredentialEntry>, Reported> {
    let identity = identity::compile(context, object, spec, report);
    // What is wrong with both is said once.
    let api_key = if identity.is_ok() { api_key(context, object, spec, report) } else { Err(Reported) };
    let headers = headers(context, object, &spec.headers, report);
    let (identity, api_key, headers) = (identity?, api_key?, headers.ok_or(Reported)?);
    if identity.is_none() && api_key.is_none() && headers.is_empty() {
        return Ok(None);
    }
    let digest = digest(api_key.as_deref(), identity.as_ref(), &headers);
    Ok(Some(CredentialEntry { digest, api_key, identity, headers }))
}

/// That of an engine of ours.
pub(super) fn of_engine(key: String) -> CredentialEntry {
    CredentialEntry { digest: digest(Some(&key), None, &[]), api_key: Some(key), identity: None, headers: Vec::new() }
}

fn digest(api_key: Option<&str>, identity: Option<&Identity>, headers: &[(String, String)]) -> String {
    const OF: &str = "turnpike credential";
    let content = match identity {
        None => canonical::to_string(&(OF, api_key, headers)),
        Some(identity) => canonical::to_string(&(OF, identity, api_key, headers)),
    };
    let mut digest = canonical::sha256_hex(content.as_bytes());
    digest.truncate(DIGEST_LENGTH);
    digest
}

fn api_key(
    context: Context<'_>,
    object: &ObjectRef,
    spec: &Provider,
    report: &mut Report,
) -> Result<Option<String>, Reported> {
    let Some(reference) = spec.credentials.as_ref().and_then(|credentials| credentials.secret_ref.as_ref()) else {
        return Ok(None);
    };
    let field = "spec.provider.credentials.secretRef";
    let key = secrets::value(context, &object.namespace, (field, reference), Use::Provider, report).ok_or(Reported)?;
    if HeaderValue::from_str(&key).is_err() {
        let fault =
            format!("the key {} of Secret {} holds characters that no header may carry", reference.key, reference.name);
        report.invalid(field, fault, "put the bare API key there, on one line");
        return Err(Reported);
    }
    Ok(Some(key))
}

fn headers(
    context: Context<'_>,
    object: &ObjectRef,
    headers: &[Header],
    report: &mut Report,
) -> Option<Vec<(String, String)>> {
    let mut names = std::collections::BTreeSet::new();
    let mut compiled = Vec::with_capacity(headers.len());
    for (at, header) in headers.iter().enumerate() {
        let field = format!("spec.provider.headers[{at}]");
        let name = header_name(&field, header, report);
        let value = header_value(context, object, (&field, header), report);
        if let (Some(name), Some(value)) = (name, value) {
            if names.insert(name.clone()) {
                compiled.push((name, value));
            } else {
                report.invalid(field, format!("the header {name} is listed twice"), "remove one of the two");
            }
        }
    }
    // Left out as a whole rather than called with half of its headers.
    (compiled.len() == headers.len()).then_some(compiled)
}

fn header_name(field: &str, header: &Header, report: &mut Report) -> Option<String> {
    let field = format!("{field}.name");
    let Ok(name) = HeaderName::try_from(&header.name) else {
        report.invalid(field, "this is not a header's name", "use letters, digits and -");
        return None;
    };
    let name = name.as_str();
    if matches!(name, "host" | "content-length" | "transfer-encoding" | "connection") {
        report.invalid(field, format!("{name} is set by the gateway"), "remove the header");
        return None;
    }
    let secret = matches!(name, "authorization" | "proxy-authorization" | "cookie") || name.contains("api-key");
    if secret && header.value.is_some() {
        let fault = format!("{name} carries a secret and must not have a literal value");
        report.invalid(field, fault, "put the value into a Secret and use secretRef");
        return None;
    }
    Some(name.to_owned())
}

fn header_value(
    context: Context<'_>,
    object: &ObjectRef,
    (field, header): (&str, &Header),
    report: &mut Report,
) -> Option<String> {
    let value = match (&header.value, &header.secret_ref) {
        (Some(value), None) => Some(value.clone()),
        (None, Some(reference)) => {
            let field = format!("{field}.secretRef");
            secrets::value(context, &object.namespace, (&field, reference), Use::Provider, report)
        }
        _ => {
            report.invalid(field, "a header needs a value", "set exactly one of value and secretRef");
            None
        }
    }?;
    if HeaderValue::from_str(&value).is_err() {
        report.invalid(field, "the value holds characters that no header may carry", "put it on one line");
        return None;
    }
    Some(value)
}
