//! `spec.provider` → [`ProviderBackend`] and its credential.

use std::collections::BTreeMap;

use turnpike_crds::model_deployment::{Provider, ProviderType};
use turnpike_llm::provider::ProviderKind;

use crate::{
    entry::{CredentialEntry, Egress, ObjectRef, Params, ProviderBackend},
    problem::{Report, Reported},
    render::{Context, credentials},
};

/// `None` = reported.
pub(super) fn compile(
    context: Context<'_>,
    object: &ObjectRef,
    model_name: &str,
    spec: &Provider,
    report: &mut Report,
) -> Option<(ProviderBackend, Option<CredentialEntry>)> {
    let provider = kind(spec.provider_type);
    let placed = is_placed(provider, spec, report);
    let model = upstream_model(model_name, spec, report);
    let base_url = base_url(provider, spec, report);
    let region = plain("region", spec.region.as_ref(), b"-", report);
    let project = plain("project", spec.project.as_ref(), b":.-", report);
    let api_version = plain("apiVersion", spec.api_version.as_ref(), b"._-", report);
    let credential = credentials::compile(context, object, spec, report);
    let params = params(spec, report);
    if !placed {
        return None;
    }
    let (credential, base_url) = (credential.ok()?, base_url?);
    let backend = ProviderBackend {
        provider,
        model: model?,
        egress: egress(context, object, &base_url),
        base_url,
        api_version: api_version.ok()?,
        region: region.ok()?,
        project: project.ok()?,
        credential: credential.as_ref().map(|entry| entry.digest.clone()),
        params,
        engine: None,
    };
    Some((backend, credential))
}

fn kind(provider: ProviderType) -> ProviderKind {
    match provider {
        ProviderType::OpenAI => ProviderKind::OpenAI,
        ProviderType::AzureOpenAI => ProviderKind::AzureOpenAI,
        ProviderType::Anthropic => ProviderKind::Anthropic,
        ProviderType::Bedrock => ProviderKind::Bedrock,
        ProviderType::VertexAI => ProviderKind::VertexAI,
        ProviderType::Gemini => ProviderKind::Gemini,
        ProviderType::Cohere => ProviderKind::Cohere,
        ProviderType::Mistral => ProviderKind::Mistral,
        ProviderType::TogetherAI => ProviderKind::TogetherAI,
        ProviderType::Groq => ProviderKind::Groq,
        ProviderType::FireworksAI => ProviderKind::FireworksAI,
        ProviderType::Perplexity => ProviderKind::Perplexity,
        ProviderType::DeepSeek => ProviderKind::DeepSeek,
        ProviderType::Ollama => ProviderKind::Ollama,
        ProviderType::Vllm => ProviderKind::VLLM,
        ProviderType::HuggingFaceTgi => ProviderKind::HuggingFaceTGI,
        ProviderType::NvidiaNim => ProviderKind::NvidiaNIM,
        ProviderType::OpenAICompatible => ProviderKind::OpenAICompatible,
    }
}

/// Vertex AI's paths name the project and the region, whatever the host.
fn is_placed(provider: ProviderKind, spec: &Provider, report: &mut Report) -> bool {
    if provider != ProviderKind::VertexAI {
        return true;
    }
    if spec.project.is_none() {
        report.invalid(
            "spec.provider.project",
            "type VertexAI needs a project",
            "set provider.project, such as my-project",
        );
    }
    // Without a base URL of its own the region is asked for with the default one.
    if spec.region.is_none() && spec.base_url.is_some() {
        report.invalid(
            "spec.provider.region",
            "type VertexAI needs a region",
            "set provider.region, such as europe-west4",
        );
    }
    spec.project.is_some() && spec.region.is_some()
}

fn upstream_model(model_name: &str, spec: &Provider, report: &mut Report) -> Option<String> {
    let model = spec.model.as_deref().unwrap_or(model_name);
    let fault = if model.is_empty() || model.len() > 512 || model.chars().any(char::is_control) {
        Some("the upstream's model name must have 1 to 512 printable characters")
    } else if model.matches('*').count() > 1 {
        Some("the upstream's model name may hold one * only")
    } else if model.contains('*') && !model_name.contains('*') {
        Some("the * of the upstream's model name stands for what the * of modelName matched, and modelName has none")
    } else {
        None
    };
    match fault {
        Some(fault) => {
            report.invalid("spec.provider.model", fault, "write the upstream's own name of the model");
            None
        }
        None => Some(model.to_owned()),
    }
}

/// Without a trailing slash.
fn base_url(provider: ProviderKind, spec: &Provider, report: &mut Report) -> Option<String> {
    const FIELD: &str = "spec.provider.baseURL";
    if let Some(url) = &spec.base_url {
        return match base_url_fault(url) {
            None => Some(url.trim_end_matches('/').to_owned()),
            Some((fault, next_step)) => {
                report.invalid(FIELD, fault, next_step);
                None
            }
        };
    }
    let Some(default) = provider.default_base_url() else {
        let fault = format!("type {provider:?} has no usual address");
        report.invalid(FIELD, fault, "set provider.baseURL, such as http://host:8000/v1");
        return None;
    };
    match &spec.region {
        Some(region) => provider.base_url_in(region),
        None if !default.contains("{region}") => Some(default.to_owned()),
        None => {
            let fault = format!("type {provider:?} needs a region");
            report.invalid("spec.provider.region", fault, "set provider.region, such as us-east-1");
            None
        }
    }
}

fn base_url_fault(url: &str) -> Option<(&'static str, &'static str)> {
    let no_url = (
        "the base URL is not an http:// or https:// URL with a host",
        "write it in full, such as https://api.example.com/v1",
    );
    if url.contains(['?', '#']) {
        return Some(("the base URL has a query or fragment", "remove it; use apiVersion, headers or params"));
    }
    let Ok(uri) = url.parse::<http::Uri>() else {
        return Some(no_url);
    };
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Some((
            "the base URL contains a user name or password",
            "remove it; put the key into a Secret and name it in credentials.secretRef",
        ));
    }
    let scheme = matches!(uri.scheme_str(), Some("http" | "https"));
    (!scheme || uri.host().is_none_or(str::is_empty)).then_some(no_url)
}

/// Whether the URL's host is `<service>.<own namespace>.svc`, with or without the usual domain of clusters.
fn egress(context: Context<'_>, object: &ObjectRef, base_url: &str) -> Egress {
    let host = base_url.parse::<http::Uri>().ok().and_then(|uri| uri.host().map(str::to_ascii_lowercase));
    let host = host.as_deref().map(|host| host.strip_suffix('.').unwrap_or(host));
    let service = host.and_then(|host| {
        let name = host.strip_suffix(".cluster.local").unwrap_or(host).strip_suffix(".svc")?;
        name.strip_suffix(object.namespace.as_str())?.strip_suffix('.')
    });
    let own = service.is_some_and(|name| {
        let service = ObjectRef { namespace: object.namespace.clone(), name: name.to_owned() };
        context.objects.services.contains(&service)
    });
    if own { Egress::OwnService } else { Egress::Guarded }
}

/// A value that becomes part of a URL: letters, digits and `others`.
fn plain(name: &str, value: Option<&String>, others: &[u8], report: &mut Report) -> Result<Option<String>, Reported> {
    let Some(value) = value else { return Ok(None) };
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || others.contains(&byte)) {
        return Ok(Some(value.clone()));
    }
    let others = String::from_utf8_lossy(others);
    let fault = format!("{name} may hold only letters, digits and {others}");
    report.invalid(format!("spec.provider.{name}"), fault, "correct or remove it");
    Err(Reported)
}

/// Entries for members that are the request itself are left out alone.
fn params(spec: &Provider, report: &mut Report) -> Params {
    let Some(spec) = &spec.params else {
        return Params::default();
    };
    let mut free = |part: &str, name: &str| {
        let reserved = matches!(name, "model" | "messages" | "prompt" | "input" | "stream");
        if reserved {
            let fault = format!("{name} is the request itself and stays as the client sent it");
            report.invalid(format!("spec.provider.params.{part}"), fault, format!("remove {name} from it"));
        }
        !reserved
    };
    Params {
        defaults: spec
            .defaults
            .iter()
            .filter(|(name, _)| free("defaults", name))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect::<BTreeMap<_, _>>(),
        drop: spec.drop.iter().filter(|name| free("drop", name)).cloned().collect(),
        rename: spec
            .rename
            .iter()
            .filter(|(from, to)| free("rename", from) && free("rename", to))
            .map(|(from, to)| (from.clone(), to.clone()))
            .collect(),
        drop_unsupported: spec.drop_unsupported,
    }
}
