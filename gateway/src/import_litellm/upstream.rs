//! `litellm_params` to `spec.provider`: whose API, where it is, how to authenticate, what is changed of requests.

use serde_json::{Map, Value};
use turnpike_crds::model_deployment::{
    AwsCredentials, AzureCredentials, Credentials, GcpCredentials, Header, Params, Provider, ProviderType,
};

use super::{
    providers::{self, Row},
    secrets::{Form, is_placeholder},
    section::{Context, FROM_VARIABLE, Section},
};

/// OpenAI's own address, which needs no saying.
const OPENAI: [&str; 2] = ["https://api.openai.com/v1", "https://api.openai.com"];

/// Parameters of calls: in a deployment they are what requests get that do not say otherwise.
const CALL_PARAMS: [&str; 30] = [
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "max_tokens",
    "max_completion_tokens",
    "n",
    "seed",
    "stop",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "user",
    "response_format",
    "tools",
    "tool_choice",
    "parallel_tool_calls",
    "functions",
    "function_call",
    "reasoning_effort",
    "thinking",
    "verbosity",
    "service_tier",
    "modalities",
    "dimensions",
    "encoding_format",
    "keep_alive",
];

/// Parts of names whose values are secret.
pub(super) const SECRET_NAMES: [&str; 6] = ["auth", "cookie", "key", "token", "secret", "password"];

/// Parts of names of parameters whose values are secret.
const SECRET_PARAMS: [&str; 4] = ["api_key", "apikey", "secret", "password"];

/// What the upstream is, once the model's name is understood.
struct Target<'a> {
    row: &'static Row,
    model: &'a str,
    kind: ProviderType,
    base_url: Option<String>,
    /// The config itself says where it is.
    is_placed: bool,
}

/// The provider of a deployment; `prefix`: what keys of secrets that stand in the config are named after. `None` = reported.
pub(super) fn provider(params: &mut Section<'_>, prefix: &str, context: &mut Context<'_>) -> Option<Provider> {
    let path = params.path("model");
    if !params.has("model") {
        context.hand(path, "the deployment names no model, and was left out; write one such as openai/gpt-4o");
        return None;
    }
    let model = params.text("model", context)?;
    let custom = params.text("custom_llm_provider", context);
    let (region, model) = region_of(&model);
    let target = target(params, &model, custom.as_deref(), context)?;
    let mut provider = Provider {
        provider_type: target.kind,
        model: Some(target.model.to_owned()),
        base_url: target.base_url.clone(),
        ..Provider::default()
    };
    if target.row.prefix == "huggingface" && target.kind == ProviderType::OpenAICompatible {
        // huggingface/PROVIDER/ORGANISATION/MODEL
        if let [house, rest @ ..] = target.model.splitn(2, '/').collect::<Vec<_>>().as_slice()
            && let Some(rest) = rest.first().filter(|rest| rest.contains('/'))
        {
            provider.base_url = Some(format!("https://router.huggingface.co/{house}/v1"));
            provider.model = Some((*rest).to_owned());
        }
    }
    place(params, &mut provider, region, context);
    provider.credentials = credentials(params, &target, prefix, context);
    provider.headers = headers(params, prefix, context);
    provider.params = changes(params, context);
    Some(provider)
}

/// `bedrock/us-east-1/MODEL` names a region before the model.
fn region_of(model: &str) -> (Option<String>, String) {
    let found = model.strip_prefix("bedrock/").and_then(|rest| rest.split_once('/')).filter(|(region, _)| {
        let mut parts = region.rsplit('-');
        parts.next().is_some_and(|end| end.len() == 1 && end.bytes().all(|byte| byte.is_ascii_digit()))
            && parts.clone().count() >= 2
            && parts.all(|part| part.bytes().all(|byte| byte.is_ascii_lowercase()))
    });
    match found {
        Some((region, rest)) => (Some(region.to_owned()), format!("bedrock/{rest}")),
        None => (None, model.to_owned()),
    }
}

fn target<'a>(
    params: &mut Section<'_>,
    model: &'a str,
    custom: Option<&str>,
    context: &mut Context<'_>,
) -> Option<Target<'a>> {
    let base_name = ["api_base", "base_url", "aws_bedrock_runtime_endpoint"].into_iter().find(|name| params.has(name));
    let base = match base_name {
        None => None,
        // Without it the model would call somebody else.
        Some(name) => Some(address_of(params, name, context)?),
    };
    let (row, model) = match providers::of(model, custom) {
        Some(found) => found,
        None if base.is_some() && custom.is_none() && !model.contains('/') => {
            context
                .changed(params.path("model"), "the name has no provider, and is taken for a server of OpenAI's API");
            (providers::compatible(), model)
        }
        None if model == "*" => {
            let advice = "a wildcard over all providers is none here, and the deployment was left out; write one for each, such as \
                          openai/* as model_name and model, and import again";
            context.hand(params.path("model"), advice);
            return None;
        }
        None => {
            let advice = "this names no provider that Turnpike has, and the deployment was left out; if it speaks OpenAI's \
                          API, write openai/MODEL with its api_base, and import again";
            context.hand(params.path("model"), advice);
            return None;
        }
    };
    let base = match base {
        None => usual_address(row, &params.path("model"), context).ok()?,
        written => written,
    };
    let elsewhere = base.as_deref().is_some_and(|base| !OPENAI.contains(&base.trim_end_matches('/')));
    let kind = match row.kind {
        ProviderType::OpenAI if elsewhere => ProviderType::OpenAICompatible,
        ProviderType::HuggingFaceTgi if base.is_none() => ProviderType::OpenAICompatible,
        kind => kind,
    };
    let is_placed = base.is_some();
    let usual = row.kind == ProviderType::OpenAI && !elsewhere;
    let found = base.or_else(|| row.base.map(str::to_owned)).filter(|_| !usual);
    let base_url = found.map(|base| providers::address(row, &base));
    let needs = matches!(kind, ProviderType::AzureOpenAI | ProviderType::Vllm | ProviderType::OpenAICompatible);
    if needs && base_url.is_none() {
        let variable = row.base_variable.map(|name| format!(", or {name} in the environment")).unwrap_or_default();
        let advice = format!(
            "nothing says where the model is, and the deployment was left out; set api_base{variable}, and import again"
        );
        context.hand(params.path("model"), advice);
        return None;
    }
    Some(Target { row, model, kind, base_url, is_placed })
}

/// The address as it is written, unless it carries a secret. `None` = reported.
fn address_of(params: &mut Section<'_>, name: &str, context: &mut Context<'_>) -> Option<String> {
    let base = params.text(name, context)?;
    is_open(&base, &params.path(name), context).then_some(base)
}

/// Whether an address holds no secret; reported otherwise.
fn is_open(base: &str, path: &str, context: &mut Context<'_>) -> bool {
    let host = base.split_once("//").map_or(base, |(_, rest)| rest);
    let has_user = host.split(['/', '?', '#']).next().is_some_and(|host| host.contains('@'));
    if has_user {
        let advice = "the address holds a user name or password, and the deployment was left out; give it an api_key, or an \
                      Authorization in extra_headers, and import again";
        context.hand(path, advice);
    }
    !has_user
}

/// The address that a variable has for everybody. `Err` = reported.
fn usual_address(row: &Row, path: &str, context: &mut Context<'_>) -> Result<Option<String>, ()> {
    let found = row.base_variable.and_then(|name| Some((name, (context.variable)(name)?)));
    let Some((name, base)) = found.filter(|(_, base)| !base.is_empty()) else { return Ok(None) };
    if !is_open(&base, path, context) {
        return Err(());
    }
    context.changed(path, format!("its address is that of {name} in the environment"));
    Ok(Some(base))
}

/// Version, region and project; an Azure address may say the version, and more of the path than is wanted here.
fn place(params: &mut Section<'_>, provider: &mut Provider, region: Option<String>, context: &mut Context<'_>) {
    let is_azure = provider.provider_type == ProviderType::AzureOpenAI;
    let mut version = if is_azure { params.text("api_version", context) } else { None };
    if let Some(base) = provider.base_url.take() {
        let (mut plain, query) =
            base.split_once('?').map_or((base.as_str(), None), |(plain, query)| (plain, Some(query)));
        let of_query = query.and_then(|query| query.split('&').find_map(|part| part.strip_prefix("api-version=")));
        version = version.or_else(|| of_query.map(str::to_owned));
        if query.is_some() && of_query.is_none() {
            context.left(
                params.path("api_base"),
                "a base URL has no query here; say the same with extra_headers or parameters",
            );
        }
        let path = plain.split_once("://").and_then(|(_, rest)| rest.find("/openai").map(|at| rest.len() - at));
        if let Some(path) = path.filter(|_| is_azure) {
            plain = plain.get(..plain.len() - path).unwrap_or(plain);
        }
        provider.base_url = Some(plain.trim_end_matches('/').to_owned());
    }
    match provider.provider_type {
        ProviderType::AzureOpenAI => {
            let variable = || (context.variable)("AZURE_API_VERSION").filter(|version| !version.is_empty());
            provider.api_version = version.or_else(variable);
        }
        ProviderType::Bedrock => {
            let variables = ["AWS_REGION_NAME", "AWS_REGION", "AWS_DEFAULT_REGION"];
            let variable = || variables.into_iter().find_map(context.variable).filter(|region| !region.is_empty());
            let variable = variable();
            provider.region = params.text("aws_region_name", context).or(region).or(variable);
        }
        ProviderType::VertexAI => {
            let of = |context: &Context<'_>, name| (context.variable)(name).filter(|value| !value.is_empty());
            let (project, place) = (of(context, "VERTEXAI_PROJECT"), of(context, "VERTEXAI_LOCATION"));
            provider.project = params.text("vertex_project", context).or(project);
            provider.region =
                params.text("vertex_location", context).or(place).or_else(|| Some("us-central1".to_owned()));
        }
        _ => {}
    }
}

fn credentials(
    params: &mut Section<'_>,
    target: &Target<'_>,
    prefix: &str,
    context: &mut Context<'_>,
) -> Option<Credentials> {
    let special = match target.kind {
        ProviderType::Bedrock => aws(params, prefix, context),
        ProviderType::VertexAI => google(params, prefix, context),
        ProviderType::AzureOpenAI => entra(params, prefix, context),
        _ => None,
    };
    let key = params.take("api_key");
    if special.is_some() {
        if key.is_some() {
            context.left(params.path("api_key"), "the other credentials beside it are used; remove one of the two");
        }
        return special;
    }
    let path = params.path("api_key");
    let secret_ref = match key {
        Some(value) if target.is_placed && is_placeholder(value) => {
            context.changed(path, "this is a placeholder: no key is sent");
            None
        }
        Some(value) => context.secret(&path, value, &format!("{prefix}_API_KEY"), Form::Text),
        None if target.kind == ProviderType::OpenAICompatible && target.is_placed && target.row.base.is_none() => {
            context
                .changed(path, "nothing says which key this server wants: none is sent, where LiteLLM sends OpenAI's");
            None
        }
        None => target.row.key_variable.map(|variable| context.secrets.variable(variable, Form::Text)),
    };
    secret_ref.map(|secret_ref| Credentials { secret_ref: Some(secret_ref), ..Credentials::default() })
}

fn aws(params: &mut Section<'_>, prefix: &str, context: &mut Context<'_>) -> Option<Credentials> {
    let mut value = |name: &str, context: &mut Context<'_>| {
        let value = params.take(name)?;
        context.secret_value(&params.path(name), value, &format!("{prefix}_{name}"))
    };
    let access_key_id = value("aws_access_key_id", context);
    let secret_access_key = value("aws_secret_access_key", context);
    let session_token = value("aws_session_token", context);
    let role_arn = params.text("aws_role_name", context);
    if role_arn.is_some() {
        let text =
            "roles are assumed with the external id CLUSTER/NAMESPACE, always: name it in the role's trust policy";
        context.hand(params.path("aws_role_name"), text);
    }
    let aws = AwsCredentials { access_key_id, secret_access_key, session_token, role_arn };
    (aws != AwsCredentials::default()).then(|| Credentials { aws: Some(aws), ..Credentials::default() })
}

fn google(params: &mut Section<'_>, prefix: &str, context: &mut Context<'_>) -> Option<Credentials> {
    let value = params.take("vertex_credentials")?;
    let path = params.path("vertex_credentials");
    let name = format!("{prefix}_VERTEX_CREDENTIALS");
    let secret_ref = context.secret(&path, value, &name, Form::File)?;
    if value.as_str().is_some_and(|text| text.starts_with(FROM_VARIABLE)) {
        context.changed(path, "the Secret's key must hold the key file's JSON itself, never its path");
    }
    let gcp = GcpCredentials { service_account_json: Some(turnpike_crds::reference::SecretValue { secret_ref }) };
    Some(Credentials { gcp: Some(gcp), ..Credentials::default() })
}

fn entra(params: &mut Section<'_>, prefix: &str, context: &mut Context<'_>) -> Option<Credentials> {
    if !params.has("client_secret") && !params.has("client_id") {
        return None;
    }
    let secret = params.take("client_secret");
    let path = params.path("client_secret");
    let azure = AzureCredentials {
        tenant_id: params.text("tenant_id", context),
        client_id: params.text("client_id", context),
        client_secret: secret.and_then(|value| context.secret_value(&path, value, &format!("{prefix}_CLIENT_SECRET"))),
    };
    Some(Credentials { azure: Some(azure), ..Credentials::default() })
}

fn headers(params: &mut Section<'_>, prefix: &str, context: &mut Context<'_>) -> Vec<Header> {
    let mut headers = Vec::new();
    if let Some(organization) = params.text("organization", context) {
        headers.push(Header { name: "OpenAI-Organization".to_owned(), value: Some(organization), secret_ref: None });
    }
    for name in ["extra_headers", "headers"] {
        let path = params.path(name);
        let mut section = Section::new(&*path, params.take(name), context);
        for (header, value) in section.others() {
            let lower = header.to_ascii_lowercase();
            let is_secret = value.as_str().is_some_and(|text| text.starts_with(FROM_VARIABLE))
                || SECRET_NAMES.iter().any(|part| lower.contains(part));
            let path = format!("{path}.{header}");
            let (value, secret_ref) = if is_secret {
                (None, context.secret(&path, value, &format!("{prefix}_{header}"), Form::Text))
            } else {
                (value.as_str().map(str::to_owned).or_else(|| Some(value.to_string())), None)
            };
            headers.push(Header { name: header.to_owned(), value, secret_ref });
        }
    }
    headers
}

fn changes(params: &mut Section<'_>, context: &mut Context<'_>) -> Option<Params> {
    let mut defaults = Map::new();
    for name in CALL_PARAMS {
        let Some(value) = params.take(name) else { continue };
        let is_reference = value.as_str().is_some_and(|text| text.starts_with(FROM_VARIABLE));
        let value = if is_reference { params.text(name, context).map(Value::String) } else { Some(value.clone()) };
        defaults.extend(value.map(|value| (name.to_owned(), value)));
    }
    let mut body = params.section("extra_body", context);
    for (name, value) in body.others() {
        let is_reference = value.as_str().is_some_and(|text| text.starts_with(FROM_VARIABLE));
        if is_reference || SECRET_PARAMS.iter().any(|part| name.contains(part)) {
            context.hand(body.path(name), "a secret is only sent in headers: use extra_headers, and import again");
        } else {
            defaults.insert(name.to_owned(), value.clone());
        }
    }
    let drop = params.texts("additional_drop_params", context);
    if drop.iter().any(|name| name.contains(['.', '['])) {
        context.hand(params.path("additional_drop_params"), "only whole parameters can be left out, not parts of them");
    }
    let drop = drop.into_iter().filter(|name| !name.contains(['.', '['])).collect();
    let drop_unsupported = params.flag("drop_params", context).unwrap_or_default();
    let changes = Params { defaults, drop, drop_unsupported, ..Params::default() };
    (changes != Params::default()).then_some(changes)
}
