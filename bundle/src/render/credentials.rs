//! The key and the headers that a provider call carries, all of them kept out of `ConfigMap`s.

use http::{HeaderName, HeaderValue};
use turnpike_crds::{
    Reason,
    model_deployment::{Credentials, Header, Provider, ProviderType},
};

use crate::{
    canonical,
    entry::{CredentialEntry, ObjectRef},
    problem::{Report, Reported},
    render::{
        Context,
        secrets::{self, Use},
    },
};

/// Hex digits of a digest: 128 bits.
const DIGEST_LENGTH: usize = 32;

/// The credential entry; `None` = there is neither key nor header.
pub(super) fn compile(
    context: Context<'_>,
    object: &ObjectRef,
    spec: &Provider,
    report: &mut Report,
) -> Result<Option<CredentialEntry>, Reported> {
    let api_key = api_key(context, object, spec, report);
    let headers = headers(context, object, &spec.headers, report);
    let (api_key, headers) = (api_key?, headers.ok_or(Reported)?);
    if api_key.is_none() && headers.is_empty() {
        return Ok(None);
    }
    Ok(Some(CredentialEntry { digest: digest(api_key.as_deref(), &headers), api_key, headers }))
}

fn digest(api_key: Option<&str>, headers: &[(String, String)]) -> String {
    let content = canonical::to_string(&("turnpike credential", api_key, headers));
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
    const FIELD: &str = "spec.provider.credentials";
    may_be_ambient(context, object, spec, report)?;
    let Some(credentials) = &spec.credentials else {
        return Ok(None);
    };
    let clouds = [
        ("aws", credentials.aws.is_some()),
        ("gcp", credentials.gcp.is_some()),
        ("azure", credentials.azure.is_some()),
    ];
    let set = clouds.iter().filter(|(_, set)| *set).count() + usize::from(credentials.secret_ref.is_some());
    if set > 1 {
        let fault = "more than one of secretRef, aws, gcp and azure is set";
        report.invalid(FIELD, fault, "set at most one of them");
        return Err(Reported);
    }
    if let Some((cloud, _)) = clouds.iter().find(|(_, set)| *set) {
        report.problem(
            format!("{FIELD}.{cloud}"),
            Reason::NotYetSupported,
            format!("{cloud} credentials are not supported yet"),
            "use an API key in credentials.secretRef",
        );
        return Err(Reported);
    }
    let Some(reference) = &credentials.secret_ref else {
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

/// Without keys of its own a cloud's model is called as the gateways themselves are known there, or in a role that they
/// may assume: not for everybody.
fn may_be_ambient(
    context: Context<'_>,
    object: &ObjectRef,
    spec: &Provider,
    report: &mut Report,
) -> Result<(), Reported> {
    if context.settings.allows_ambient_identity(&object.namespace) {
        return Ok(());
    }
    let is_cloud = matches!(spec.provider_type, ProviderType::Bedrock | ProviderType::VertexAI);
    let field = match spec.credentials.as_ref() {
        None => is_cloud.then_some("spec.provider.credentials"),
        Some(Credentials { aws: Some(aws), .. }) if aws.role_arn.is_some() => {
            Some("spec.provider.credentials.aws.roleArn")
        }
        Some(Credentials { aws: Some(aws), .. }) if aws.access_key_id.is_none() => {
            Some("spec.provider.credentials.aws")
        }
        Some(Credentials { gcp: Some(gcp), .. }) if gcp.service_account_json.is_none() => {
            Some("spec.provider.credentials.gcp")
        }
        Some(Credentials { azure: Some(azure), .. }) if azure.client_secret.is_none() => {
            Some("spec.provider.credentials.azure")
        }
        Some(_) => None,
    };
    let Some(field) = field else { return Ok(()) };
    report.problem(
        field,
        Reason::AmbientIdentityNotAllowed,
        format!("models of namespace {} may not use the gateways' own cloud identity", object.namespace),
        "name keys of your own in credentials, or have the namespace added to gateway.ambientIdentityNamespaces",
    );
    Err(Reported)
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
