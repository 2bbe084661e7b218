//! Reading a value out of a Secret: does it exist, may it be used for this, is it text.

use turnpike_crds::{Reason, SecretKeyRef};

use crate::{
    entry::ObjectRef,
    objects::{Secret, USE_LABEL},
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
}

impl Use {
    const fn label(self) -> &'static str {
        match self {
            Self::Provider => "provider",
            Self::Key => "key",
        }
    }
}

/// The value behind a reference, without white space around it (files and `echo` put a line end there). `None` = reported.
pub(super) fn value(
    context: Context<'_>,
    namespace: &str,
    (field, reference): (&str, &SecretKeyRef),
    wanted: Use,
    report: &mut Report,
) -> Option<String> {
    let name = &reference.name;
    let object = ObjectRef { namespace: namespace.to_owned(), name: name.clone() };
    let Some(secret) = context.objects.secrets.get(&object) else {
        report.problem(
            field,
            Reason::RefNotFound,
            format!("there is no Secret {name} in namespace {namespace}"),
            format!("create the Secret {name} with a key {}, or correct the reference", reference.key),
        );
        return None;
    };
    if secret.minted_for.is_some() {
        report.problem(
            field,
            Reason::SecretNotPermitted,
            format!("the Secret {name} was made for a VirtualKey"),
            "refer to a Secret of your own",
        );
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
    text(name, secret, &reference.key, field, report)
}

/// The text of a Secret's key. `None` = reported.
pub(super) fn text(name: &str, secret: &Secret, key: &str, field: &str, report: &mut Report) -> Option<String> {
    let Some(bytes) = secret.data.get(key) else {
        let next_step = secret
            .absent
            .get(key)
            .cloned()
            .unwrap_or_else(|| format!("add the key {key} to the Secret {name}, or correct the reference"));
        report.problem(field, Reason::RefNotFound, format!("the Secret {name} has no key {key}"), next_step);
        return None;
    };
    let text = std::str::from_utf8(bytes).ok().map(str::trim).filter(|text| !text.is_empty());
    if text.is_none() {
        report.problem(
            field,
            Reason::Invalid,
            format!("the key {key} of Secret {name} is empty or not UTF-8 text"),
            "put the text itself there (encoded in base64 once, under data)",
        );
    }
    text.map(str::to_owned)
}
