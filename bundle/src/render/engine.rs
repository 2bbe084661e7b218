//! `spec.vllm` → the [`ProviderBackend`] that its engine is to gateways, and the key that it asks for.

use http::HeaderValue;
use turnpike_crds::{
    ModelDeployment, Reason, SecretKeyRef,
    model_deployment::{Engine, Vllm},
};
use turnpike_engine::{check, names};
use turnpike_llm::provider::ProviderKind;

use crate::{
    entry::{ColdStart, CredentialEntry, Egress, EngineEntry, ObjectRef, Params, ProviderBackend},
    objects::{Value, text},
    problem::{Report, Reported},
    render::{
        Context, credentials,
        resilience::span,
        secrets::{self, Use},
    },
};

/// How long a request is held where the spec does not say, milliseconds.
const HOLD_MS: u64 = 5 * 60 * 1000;

/// `None` = reported.
pub(super) fn compile(
    context: Context<'_>,
    object: &ObjectRef,
    resource: &ModelDeployment,
    report: &mut Report,
) -> Option<(ProviderBackend, Option<CredentialEntry>)> {
    let spec = resource.spec.vllm.as_ref()?;
    if !context.settings.runs_engines() {
        report.invalid(
            "spec.vllm",
            "engines run in a cluster, under Turnpike's operator",
            "run the engine yourself and set provider with type VLLM and its baseURL, such as http://host:8000/v1",
        );
        return None;
    }
    let is_sound = findings(context, resource, report);
    let may_read = is_permitted(context, &object.namespace, spec, report);
    let key = key(context, object, spec, report);
    let engine = entry(spec, report);
    let (key, engine) = (key?, engine.ok()?);
    if !is_sound || !may_read {
        return None;
    }
    let credential = credentials::of_engine(key);
    let backend = ProviderBackend {
        provider: match spec.engine {
            Engine::Vllm => ProviderKind::VLLM,
            Engine::LlamaCpp => ProviderKind::OpenAICompatible,
        },
        model: names::served(resource).to_owned(),
        base_url: format!("http://{}:{}/v1", names::host(&object.namespace, &object.name), names::PORT),
        api_version: None,
        region: None,
        project: None,
        credential: Some(credential.digest.clone()),
        params: Params::default(),
        egress: Egress::OwnService,
        engine: Some(engine),
    };
    Some((backend, Some(credential)))
}

/// Whether an engine can be made of the spec.
fn findings(context: Context<'_>, resource: &ModelDeployment, report: &mut Report) -> bool {
    let mut is_sound = true;
    for finding in check::check(resource, context.settings.pod_overlay) {
        let (field, reason, message, next_step) = (finding.field, finding.reason, finding.message, finding.next_step);
        if finding.is_warning {
            report.warn(field, reason, message, next_step);
        } else {
            is_sound = false;
            report.problem(field, reason, message, next_step);
        }
    }
    is_sound
}

/// Whether the Secrets that the pods read are there and may be read by engines.
fn is_permitted(context: Context<'_>, namespace: &str, spec: &Vllm, report: &mut Report) -> bool {
    let mut may = true;
    for (field, reference) in turnpike_engine::references::of(spec) {
        may &= secrets::digest(context, namespace, (&field, reference), Use::Engine, report).is_some();
    }
    may
}

/// What engines ask of their callers.
fn key(context: Context<'_>, object: &ObjectRef, spec: &Vllm, report: &mut Report) -> Option<String> {
    const FIELD: &str = "spec.vllm.apiKeySecretRef";
    let key = match &spec.api_key_secret_ref {
        Some(reference) => secrets::value(context, &object.namespace, (FIELD, reference), Use::Engine, report)?,
        None => minted(context, object, report)?,
    };
    if HeaderValue::from_str(&key).is_err() {
        report.invalid(
            FIELD,
            "the engine's key holds characters that no header may carry",
            "put a bare key there, on one line",
        );
        return None;
    }
    Some(key)
}

fn minted(context: Context<'_>, object: &ObjectRef, report: &mut Report) -> Option<String> {
    let reference = SecretKeyRef { name: names::key_secret(&object.name), key: names::KEY.to_owned() };
    let place = ObjectRef { namespace: object.namespace.clone(), name: reference.name.clone() };
    let secret = context.objects.secrets.get(&place);
    let own = secret.filter(|secret| {
        context.settings.owns(&place, secret) && secret.labels.get(names::MODEL_LABEL) == Some(&object.name)
    });
    let value = match own.and_then(|secret| secret.data.get(names::KEY)) {
        Some(Value::Plain(bytes)) => text(bytes).map(str::to_owned),
        Some(Value::Digest(_)) | None => None,
    };
    if value.is_none() {
        let name = &reference.name;
        match secret {
            Some(_) if own.is_none() => report.problem(
                "spec.vllm",
                Reason::SecretExists,
                format!("the engine's key goes into Secret {name}, which belongs to somebody else"),
                "rename or delete that Secret, or name one of your own in vllm.apiKeySecretRef",
            ),
            _ => report.problem(
                "spec.vllm",
                Reason::Pending,
                format!("the engine's key is not in Secret {name} yet"),
                "wait: the operator makes it within seconds",
            ),
        }
    }
    value
}

fn entry(spec: &Vllm, report: &mut Report) -> Result<EngineEntry, Reported> {
    let scaling = spec.autoscaling.as_ref();
    let hold = scaling.and_then(|scaling| scaling.hold_timeout.as_ref());
    let hold_ms = match hold {
        Some(hold) => span("spec.vllm.autoscaling.holdTimeout", hold.parse(), report)?,
        None => HOLD_MS,
    };
    Ok(EngineEntry {
        cold_start: scaling.map_or(ColdStart::Hold, |scaling| scaling.cold_start),
        hold_ms,
        is_scaled: scaling.is_some(),
        adapters: spec.lora.iter().flat_map(|lora| &lora.adapters).map(|adapter| adapter.name.clone()).collect(),
    })
}
