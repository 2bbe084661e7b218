//! Who a model's calls are made as in a cloud: keys of its own, or the gateways' own identity where that is allowed.

use http::HeaderValue;
use turnpike_crds::{
    Reason, SecretKeyRef,
    model_deployment::{AwsCredentials, AzureCredentials, Credentials, GcpCredentials, Provider, ProviderType},
};

use crate::{
    Confidential,
    entry::{AssumedRole, AwsIdentity, AwsKeys, EntraApplication, GoogleAccount, Identity, ObjectRef, ServiceAccount},
    objects::Mode,
    problem::{Report, Reported},
    render::{
        Context,
        secrets::{self, Use},
    },
};

const FIELD: &str = "spec.provider.credentials";
/// Longest name of a session.
const MAX_SESSION: usize = 64;

/// Azure's models. Not all of azure.com: anybody's machine may have a name there.
const AZURE: &[&str] = &[".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com"];

/// The clouds whose credentials a model may give.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cloud {
    Aws,
    Google,
    Entra,
}

impl Cloud {
    const fn field(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Google => "gcp",
            Self::Entra => "azure",
        }
    }
}

/// The identity; `None` = the model is called with an API key, or without any.
pub(super) fn compile(
    context: Context<'_>,
    object: &ObjectRef,
    spec: &Provider,
    report: &mut Report,
) -> Result<Option<Identity>, Reported> {
    let own = cloud_of(spec.provider_type);
    let given = given(spec.credentials.as_ref(), report)?;
    if let Some(other) = given.filter(|given| Some(*given) != own) {
        let field = format!("{FIELD}.{}", other.field());
        let fault = format!("type {} does not take {} credentials", spec.provider_type.as_str(), other.field());
        let remedy = match own {
            Some(own) => format!("use {FIELD}.{} or {FIELD}.secretRef", own.field()),
            None => format!("use an API key in {FIELD}.secretRef"),
        };
        report.invalid(field, fault, remedy);
        return Err(Reported);
    }
    let credentials = spec.credentials.clone().unwrap_or_default();
    if credentials.secret_ref.is_some() {
        return Ok(None);
    }
    let scope = Scope { context, object };
    let identity = match own {
        Some(Cloud::Aws) => Identity::Aws(aws(scope, spec, &credentials.aws.unwrap_or_default(), report)?),
        Some(Cloud::Google) => Identity::Google(google(scope, &credentials.gcp.unwrap_or_default(), report)?),
        Some(Cloud::Entra) => match &credentials.azure {
            Some(azure) => Identity::Entra(entra(scope, azure, report)?),
            None => return Ok(None),
        },
        None => return Ok(None),
    };
    may_be_ambient(scope, spec, &identity, report)?;
    Ok(Some(identity))
}

const fn cloud_of(provider: ProviderType) -> Option<Cloud> {
    match provider {
        ProviderType::Bedrock => Some(Cloud::Aws),
        ProviderType::VertexAI => Some(Cloud::Google),
        ProviderType::AzureOpenAI => Some(Cloud::Entra),
        ProviderType::OpenAI
        | ProviderType::Anthropic
        | ProviderType::Gemini
        | ProviderType::Cohere
        | ProviderType::Mistral
        | ProviderType::TogetherAI
        | ProviderType::Groq
        | ProviderType::FireworksAI
        | ProviderType::Perplexity
        | ProviderType::DeepSeek
        | ProviderType::Ollama
        | ProviderType::Vllm
        | ProviderType::HuggingFaceTgi
        | ProviderType::NvidiaNim
        | ProviderType::OpenAICompatible => None,
    }
}

/// The one cloud whose credentials are given.
fn given(credentials: Option<&Credentials>, report: &mut Report) -> Result<Option<Cloud>, Reported> {
    let Some(Credentials { secret_ref, aws, gcp, azure }) = credentials else { return Ok(None) };
    let clouds =
        [aws.as_ref().map(|_| Cloud::Aws), gcp.as_ref().map(|_| Cloud::Google), azure.as_ref().map(|_| Cloud::Entra)];
    let mut clouds = clouds.into_iter().flatten();
    let first = clouds.next();
    if clouds.next().is_some() || (first.is_some() && secret_ref.is_some()) {
        report.invalid(FIELD, "more than one of secretRef, aws, gcp and azure is set", "set at most one of them");
        return Err(Reported);
    }
    Ok(first)
}

/// Where the Secrets are that an object may refer to.
#[derive(Clone, Copy)]
struct Scope<'a> {
    context: Context<'a>,
    object: &'a ObjectRef,
}

impl Scope<'_> {
    /// The value behind a reference that is given; `Ok(None)` = none is.
    fn value(self, field: &str, given: Option<&SecretKeyRef>, report: &mut Report) -> Result<Option<String>, Reported> {
        let Some(reference) = given else { return Ok(None) };
        let field = format!("{FIELD}.{field}.secretRef");
        let namespace = &self.object.namespace;
        let value = secrets::value(self.context, namespace, (&field, reference), Use::Provider, report);
        value.map(Some).ok_or(Reported)
    }

    /// As [`Self::value`], for what is sent in a header.
    fn header(
        self,
        field: &str,
        given: Option<&SecretKeyRef>,
        report: &mut Report,
    ) -> Result<Option<String>, Reported> {
        let value = self.value(field, given, report)?;
        if value.as_ref().is_some_and(|value| HeaderValue::from_str(value).is_err()) {
            let fault = "the value holds characters that no header may carry";
            report.invalid(format!("{FIELD}.{field}.secretRef"), fault, "put the bare value there, on one line");
            return Err(Reported);
        }
        Ok(value)
    }
}

fn aws(
    scope: Scope<'_>,
    spec: &Provider,
    given: &AwsCredentials,
    report: &mut Report,
) -> Result<AwsIdentity, Reported> {
    let id = given.access_key_id.as_ref().map(|value| &value.secret_ref);
    let secret = given.secret_access_key.as_ref().map(|value| &value.secret_ref);
    let token = given.session_token.as_ref().map(|value| &value.secret_ref);
    if id.is_some() != secret.is_some() || (token.is_some() && id.is_none()) {
        let fault = "an access key is accessKeyId and secretAccessKey, with sessionToken where it is a temporary one";
        report.invalid(format!("{FIELD}.aws"), fault, "set both, or neither for the gateways' own identity");
        return Err(Reported);
    }
    let id = scope.header("aws.accessKeyId", id, report);
    let secret = scope.value("aws.secretAccessKey", secret, report);
    let token = scope.header("aws.sessionToken", token, report);
    let role = given.role_arn.as_deref().map(|arn| role(scope, arn, report)).transpose();
    let region = spec.region.clone().ok_or_else(|| {
        let fault = "signing requests for AWS takes a region";
        report.invalid("spec.provider.region", fault, "set provider.region, such as us-east-1");
        Reported
    });
    let session_token = token?.map(Confidential::from);
    let keys = match (id?, secret?) {
        (Some(access_key_id), Some(secret)) => {
            Some(AwsKeys { access_key_id, secret_access_key: secret.into(), session_token })
        }
        _ => None,
    };
    Ok(AwsIdentity { keys, role: role?, region: region? })
}

fn role(scope: Scope<'_>, arn: &str, report: &mut Report) -> Result<AssumedRole, Reported> {
    let plain = arn.bytes().all(|byte| byte.is_ascii_graphic());
    if !(plain && arn.starts_with("arn:") && arn.contains(":iam::") && arn.contains(":role/")) {
        let fault = "this is not the ARN of a role";
        report.invalid(format!("{FIELD}.aws.roleArn"), fault, "write it as arn:aws:iam::123456789012:role/name");
        return Err(Reported);
    }
    let namespace = &scope.object.namespace;
    let mut session = format!("turnpike-{namespace}");
    session.truncate(MAX_SESSION);
    let cluster = &scope.context.settings.cluster;
    Ok(AssumedRole { arn: arn.to_owned(), external_id: format!("{cluster}/{namespace}"), session })
}

fn google(scope: Scope<'_>, given: &GcpCredentials, report: &mut Report) -> Result<GoogleAccount, Reported> {
    let file = given.service_account_json.as_ref().map(|value| &value.secret_ref);
    let Some(json) = scope.value("gcp.serviceAccountJson", file, report)? else {
        return Ok(GoogleAccount::default());
    };
    match ServiceAccount::parse(&json) {
        Ok(key) => Ok(GoogleAccount { key: Some(key) }),
        Err(fault) => {
            let fault = format!("the service account's key file cannot be used: {fault}");
            let remedy = "put the whole JSON file there that Google Cloud made for the service account's key";
            report.invalid(format!("{FIELD}.gcp.serviceAccountJson.secretRef"), fault, remedy);
            Err(Reported)
        }
    }
}

fn entra(scope: Scope<'_>, given: &AzureCredentials, report: &mut Report) -> Result<EntraApplication, Reported> {
    let ids = [("tenantId", &given.tenant_id), ("clientId", &given.client_id)];
    for (name, id) in ids {
        let plain = |id: &String| id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(&byte));
        if id.as_ref().is_some_and(|id| !plain(id) || id.is_empty()) {
            report.invalid(
                format!("{FIELD}.azure.{name}"),
                "this is not an id of Microsoft Entra",
                "copy it from there",
            );
            return Err(Reported);
        }
    }
    let secret = given.client_secret.as_ref().map(|value| &value.secret_ref);
    let client_secret = scope.value("azure.clientSecret", secret, report)?.map(Confidential::from);
    if client_secret.is_some() && (given.tenant_id.is_none() || given.client_id.is_none()) {
        let fault = "a client secret belongs to an application of a tenant";
        report.invalid(format!("{FIELD}.azure"), fault, "set tenantId and clientId beside clientSecret");
        return Err(Reported);
    }
    Ok(EntraApplication { tenant_id: given.tenant_id.clone(), client_id: given.client_id.clone(), client_secret })
}

/// Without keys of its own a cloud's model is called as the gateways themselves are known there, or in a role that they
/// may assume: not for everybody, and their tokens go to nobody but the cloud.
fn may_be_ambient(scope: Scope<'_>, spec: &Provider, identity: &Identity, report: &mut Report) -> Result<(), Reported> {
    let settings = scope.context.settings;
    // Whoever gets a token can use it; a signature is good for the one request.
    let (field, hosts): (_, &[&str]) = match identity {
        Identity::Aws(AwsIdentity { role: Some(_), .. }) => ("aws.roleArn", &[]),
        Identity::Aws(AwsIdentity { keys: None, .. }) => ("aws", &[]),
        Identity::Google(GoogleAccount { key: None }) => ("gcp", &[".googleapis.com"]),
        Identity::Entra(EntraApplication { client_secret: None, .. }) => ("azure", AZURE),
        Identity::Aws(_) | Identity::Google(_) | Identity::Entra(_) => return Ok(()),
    };
    let field = if spec.credentials.is_some() { format!("{FIELD}.{field}") } else { FIELD.to_owned() };
    if !settings.allows_ambient_identity(&scope.object.namespace) {
        report.problem(
            field,
            Reason::AmbientIdentityNotAllowed,
            format!("models of namespace {} may not use the gateways' own cloud identity", scope.object.namespace),
            "name keys of your own in credentials, or have the namespace added to gateway.ambientIdentityNamespaces",
        );
        return Err(Reported);
    }
    let url = spec.base_url.as_deref().filter(|_| settings.mode != Mode::Standalone && !hosts.is_empty());
    if url.is_some_and(|url| !is_within(url, hosts)) {
        report.problem(
            "spec.provider.baseURL",
            Reason::AmbientIdentityNotAllowed,
            "tokens of the gateways' own identity are sent to the cloud's own https addresses only",
            format!("use a host that ends in {}, or name keys of your own in credentials", hosts.join(" or ")),
        );
        return Err(Reported);
    }
    Ok(())
}

fn is_within(url: &str, hosts: &[&str]) -> bool {
    let host = url.strip_prefix("https://").and_then(|rest| rest.split(['/', ':']).next()).unwrap_or_default();
    let host = host.to_ascii_lowercase();
    hosts.iter().any(|suffix| host.strip_suffix(suffix).is_some_and(|name| !name.is_empty()))
}
