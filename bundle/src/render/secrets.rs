//! Reading a value out of a Secret: does it exist, may it be used for this, is it text.

use turnpike_crds::{Reason, SecretKeyRef};

use crate::{
    entry::ObjectRef,
    objects::{Digest, Secret, USE_LABEL, Value, text},
    problem::Report,
    render::Context,
};

/// What a Secret is wanted for: the value of its label.
#[derive(Clone, Copy)]
pub(super) enum Use {
    /// Authenticating to a provider.
    Provider,
    /// A client's key.
    Key,
    /// What an engine's pods read.
    Engine,
}

impl Use {
    const fn label(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Key => "key",
            Self::Engine => "engine",
        }
    }
}

/// The value behind a reference, without white space around it. `None` = reported.
pub(super) fn value(
    context: Context<'_>,
    namespace: &str,
    (field, reference): (&str, &SecretKeyRef),
    wanted: Use,
    report: &mut Report,
) -> Option<String> {
    let secret = permitted(context, namespace, (field, reference), wanted, report)?;
    let (name, key) = (&reference.name, &reference.key);
    let text = match find(name, secret, key, field, report)? {
        Value::Plain(bytes) => text(bytes),
        // A client's key that is used towards a provider too; its value comes as soon as it has been read again.
        Value::Digest(_) => None,
    };
    if text.is_none() {
        not_text(name, key, field, report);
    }
    text.map(str::to_owned)
}

/// As [`value`], for what is only compared.
pub(super) fn digest(
    context: Context<'_>,
    namespace: &str,
    (field, reference): (&str, &SecretKeyRef),
    wanted: Use,
    report: &mut Report,
) -> Option<Digest> {
    let secret = permitted(context, namespace, (field, reference), wanted, report)?;
    own_digest(&reference.name, secret, &reference.key, field, report)
}

/// The digest of a Secret's key. `None` = reported.
pub(super) fn own_digest(name: &str, secret: &Secret, key: &str, field: &str, report: &mut Report) -> Option<Digest> {
    let digest = find(name, secret, key, field, report)?.digest();
    if digest.length == 0 {
        not_text(name, key, field, report);
        return None;
    }
    Some(digest)
}

/// The Secret, if it may be used for this. `None` = reported.
fn permitted<'a>(
    context: Context<'a>,
    namespace: &str,
    (field, reference): (&str, &SecretKeyRef),
    wanted: Use,
    report: &mut Report,
) -> Option<&'a Secret> {
    let name = &reference.name;
    let object = ObjectRef { namespace: namespace.to_owned(), name: name.clone() };
    let Some(secret) = context.objects.secrets.get(&object) else {
        report.problem(
            field,
            Reason::RefNotFound,
            format!("there is no Secret {name} in namespace {namespace}"),
            if context.settings.requires_label() {
                let (key, label) = (&reference.key, wanted.label());
                format!("create the Secret {name} with a key {key} and the label {USE_LABEL}={label}, or correct the reference")
            } else {
                format!("create the Secret {name} with a key {}, or correct the reference", reference.key)
            },
        );
        return None;
    };
    let owner = match &secret.minted_for {
        Some(_) => Some("was made for a VirtualKey"),
        None => context.settings.owns(&object, secret).then_some("is Turnpike's own"),
    };
    if let Some(owner) = owner {
        let fault = format!("the Secret {name} {owner}");
        report.problem(field, Reason::SecretNotPermitted, fault, "refer to a Secret of your own");
        return None;
    }
    if context.settings.requires_label() && secret.labels.get(USE_LABEL).map(String::as_str) != Some(wanted.label()) {
        let label = wanted.label();
        report.problem(
            field,
            Reason::SecretNotPermitted,
            format!("the Secret {name} does not carry the label {USE_LABEL}={label}"),
            format!("run: kubectl label secret --namespace {namespace} {name} {USE_LABEL}={label}"),
        );
        return None;
    }
    Some(secret)
}

fn find<'a>(name: &str, secret: &'a Secret, key: &str, field: &str, report: &mut Report) -> Option<&'a Value> {
    let value = secret.data.get(key);
    if value.is_none() {
        let next_step = secret
            .absent
            .get(key)
            .cloned()
            .unwrap_or_else(|| format!("add the key {key} to the Secret {name}, or correct the reference"));
        report.problem(field, Reason::RefNotFound, format!("the Secret {name} has no key {key}"), next_step);
    }
    value
}

fn not_text(name: &str, key: &str, field: &str, report: &mut Report) {
    report.problem(
        field,
        Reason::Invalid,
        format!("the key {key} of Secret {name} is empty or not UTF-8 text"),
        "put the text itself there (encoded in base64 once, under data)",
    );
}
