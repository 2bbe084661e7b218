//! `VirtualKey` → [`KeyEntry`].

use std::collections::{BTreeMap, BTreeSet};

use turnpike_crds::{KeyHash as Hash, KeyId, Reason, VirtualKey, names::ModelPattern};

use crate::{
    entry::{KeyEntry, KeyHash, ObjectRef},
    minted,
    objects::{Digest, Mode, Secret},
    problem::{ObjectKind, Report, Reported},
    render::{
        Context, Rendered, by_age, limits,
        secrets::{self, Use},
    },
};

/// Least length of a key that its owner brought, in bytes.
const MIN_LENGTH: usize = 32;
/// The same in a folder of one's own; below [`MIN_LENGTH`] it is warned of.
const MIN_LENGTH_STANDALONE: usize = 16;

/// All keys that can be used, sorted by object. One hash has one owner, the oldest.
pub(super) fn render(context: Context<'_>, rendered: &mut Rendered) -> Vec<KeyEntry> {
    let minted = minted_for(context);
    let mut owned: BTreeSet<String> = BTreeSet::new();
    let mut entries = Vec::new();
    for (object, resource) in by_age(&context.objects.keys, ObjectKind::VirtualKey, rendered) {
        let mut report = Report::new(ObjectKind::VirtualKey, object.clone());
        let hashes = hashes(context, &minted, (&object, resource), &mut report);
        let entry = compile(context, object, resource, &mut report);
        let (mine, others): (Vec<KeyHash>, Vec<KeyHash>) =
            hashes.into_iter().partition(|hash| owned.insert(hash.sha256.clone()));
        if !others.is_empty() {
            // Whose key it is must not be told: its user may be anybody.
            let fault = "this key is already in use by an older VirtualKey";
            report.problem("spec", Reason::DuplicateKey, fault, "use another key");
        } else if let (Some(entry), false) = (entry, mine.is_empty()) {
            entries.push(KeyEntry { hashes: mine, ..entry });
        }
        rendered.take(report);
    }
    entries.sort_by(|a, b| a.object.cmp(&b.object));
    entries
}

/// All but the hashes. `None` = reported.
fn compile(context: Context<'_>, object: ObjectRef, resource: &VirtualKey, report: &mut Report) -> Option<KeyEntry> {
    let spec = &resource.spec;
    let expires_at = expires_at(resource, report);
    budgets_exist(context, &object, resource, report);
    rotation(context, resource, report);
    let limits = limits::of_key(resource, report);
    let subject = spec.subject.clone().unwrap_or_default();
    let team = team(context, &object.namespace, subject.team, report);
    let allowed_models = allowed_models(resource, report);
    let (limits, budget) = limits.ok()?;
    Some(KeyEntry {
        key_id: KeyId::of(&object.namespace, &object.name).to_string(),
        object,
        hashes: Vec::new(),
        team: team.ok()?,
        user: subject.user,
        tags: subject.tags,
        allowed_models,
        expires_at: expires_at.ok()?,
        suspended: spec.suspended,
        limits,
        budget,
        budget_refs: spec.budget_refs.iter().map(|reference| reference.name.clone()).collect(),
        labels: resource.metadata.labels.clone().unwrap_or_default(),
        reset: limits::reset(resource),
    })
}

/// The hashes of the key's one source; empty = reported.
fn hashes(
    context: Context<'_>,
    minted: &Minted<'_>,
    (object, resource): (&ObjectRef, &VirtualKey),
    report: &mut Report,
) -> Vec<KeyHash> {
    let spec = &resource.spec;
    match (&spec.generate, &spec.secret_ref, &spec.key_hash) {
        (Some(generate), None, None) => {
            let name = generate.secret_name.as_ref().unwrap_or(&object.name);
            let named = ObjectRef { namespace: object.namespace.clone(), name: name.clone() };
            let secret = in_secret(context, (object, &named), minted, report);
            secret.map_or_else(Vec::new, |secret| generated(secret, &generate.secret_key, report))
        }
        (None, Some(reference), None) => {
            let field = "spec.secretRef";
            let key = secrets::digest(context, &object.namespace, (field, reference), Use::Key, report);
            key.filter(|key| is_long_enough(context, key.length, field, report)).map(current).into_iter().collect()
        }
        (None, None, Some(text)) => match Hash::parse(text) {
            Ok(_) => vec![KeyHash { sha256: text.trim_start_matches("sha256:").to_owned(), retires_at: None }],
            Err(error) => {
                report.invalid("spec.keyHash", error.to_string(), "compute it with: printf %s KEY | sha256sum");
                Vec::new()
            }
        },
        _ => {
            let fault = "not exactly one of generate, secretRef and keyHash is set";
            report.invalid("spec", fault, "set exactly one of generate, secretRef and keyHash");
            Vec::new()
        }
    }
}

fn current(key: Digest) -> KeyHash {
    KeyHash { sha256: key.sha256, retires_at: None }
}

/// Secrets that were minted, by whom they were minted for: of several the first by name.
type Minted<'a> = BTreeMap<&'a ObjectRef, (&'a str, &'a Secret)>;

fn minted_for(context: Context<'_>) -> Minted<'_> {
    let mut minted = Minted::new();
    for (object, secret) in &context.objects.secrets {
        if let Some(owner) = &secret.minted_for {
            minted.entry(owner).or_insert((object.name.as_str(), secret));
        }
    }
    minted
}

/// The Secret that the key is to lie in. Until it is there, or while another's is in its place, the key serves from
/// the one that it lay in before, if there is one.
fn in_secret<'a>(
    context: Context<'a>,
    (object, named): (&ObjectRef, &ObjectRef),
    minted: &Minted<'a>,
    report: &mut Report,
) -> Option<(&'a str, &'a Secret)> {
    let field = "spec.generate";
    let name = &named.name;
    match context.objects.secrets.get_key_value(named) {
        Some((at, secret)) if secret.minted_for.as_ref() == Some(object) => return Some((at.name.as_str(), secret)),
        Some(_) => report.problem(
            format!("{field}.secretName"),
            Reason::SecretExists,
            format!("the Secret {name} exists and was not made for this key"),
            "choose another secretName, or delete that Secret",
        ),
        None if minted.contains_key(object) => {}
        None => {
            let fault = format!("the Secret {name} has not been made yet");
            report.problem(field, Reason::RefNotFound, fault, "wait; if it stays so, see the log for why");
        }
    }
    minted.get(object).copied()
}

/// The key in a Secret that was minted for it, and those before it while they still work.
fn generated((name, secret): (&str, &Secret), key: &str, report: &mut Report) -> Vec<KeyHash> {
    // After an edit of secretKey the only value is the key, until it lies under its new name.
    let key = match secret.data.keys().next() {
        Some(only) if secret.data.len() == 1 => only,
        _ => key,
    };
    let mut hashes: Vec<KeyHash> =
        secrets::own_digest(name, secret, key, "spec.generate", report).map(current).into_iter().collect();
    hashes.extend(minted::replaced(&secret.annotations));
    hashes
}

fn is_long_enough(context: Context<'_>, length: usize, field: &str, report: &mut Report) -> bool {
    let least = match context.settings.mode {
        Mode::Standalone => MIN_LENGTH_STANDALONE,
        Mode::Cluster | Mode::SingleTenant => MIN_LENGTH,
    };
    let fault = format!("the key has {length} bytes; short keys can be guessed");
    let next_step = format!("use at least {MIN_LENGTH} random bytes, such as from: openssl rand -hex 32");
    if length < least {
        report.problem(field, Reason::WeakKey, fault, next_step);
        return false;
    }
    if length < MIN_LENGTH {
        report.warn(field, Reason::WeakKey, fault, next_step);
    }
    true
}

/// Seconds since the epoch; `None` = never.
fn expires_at(resource: &VirtualKey, report: &mut Report) -> Result<Option<i64>, Reported> {
    let spec = &resource.spec;
    let ttl = match (&spec.expires_at, &spec.ttl) {
        (None, None) => return Ok(None),
        (Some(time), None) => return Ok(Some(time.0.as_second())),
        (Some(_), Some(_)) => {
            report.invalid("spec.ttl", "expiresAt and ttl are both set", "set expiresAt or ttl, not both");
            return Err(Reported);
        }
        (None, Some(ttl)) => ttl,
    };
    let Some(created) = &resource.metadata.creation_timestamp else {
        let fault = "ttl counts from metadata.creationTimestamp, which this manifest does not have";
        report.invalid("spec.ttl", fault, "set expiresAt instead");
        return Err(Reported);
    };
    match ttl.parse() {
        Ok(ttl) => {
            let seconds = i64::try_from(ttl.as_secs()).unwrap_or(i64::MAX);
            Ok(Some(created.0.as_second().saturating_add(seconds)))
        }
        Err(error) => {
            report.invalid("spec.ttl", error.to_string(), "write a duration such as 720h");
            Err(Reported)
        }
    }
}

/// The patterns that can match something; the others are reported and left out alone, which allows less, not more.
fn allowed_models(resource: &VirtualKey, report: &mut Report) -> Vec<String> {
    let mut allowed = Vec::new();
    for (at, text) in resource.spec.allowed_models.iter().enumerate() {
        let field = format!("spec.allowedModels[{at}]");
        match ModelPattern::parse(text) {
            Err(error) => report.invalid(field, error.to_string(), "correct or remove it"),
            Ok(ModelPattern::Prefix(prefix)) if prefix.is_empty() && resource.spec.allowed_models.len() > 1 => {
                report.invalid(field, "* stands beside other names", "remove the other names, or the *");
            }
            Ok(_) => allowed.push(text.clone()),
        }
    }
    allowed
}

/// The team that the key claims, if its namespace may.
fn team(
    context: Context<'_>,
    namespace: &str,
    claimed: Option<String>,
    report: &mut Report,
) -> Result<Option<String>, Reported> {
    let Some(team) = claimed else { return Ok(None) };
    let (fault, next_step) = match (context.settings.mode, context.objects.namespaces.get(namespace)) {
        (Mode::Standalone, _) | (_, Some(None)) => return Ok(Some(team)),
        (_, Some(Some(teams))) if teams.contains(&team) => return Ok(Some(team)),
        (_, Some(Some(teams))) => {
            let teams = teams.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            let choice =
                if teams.is_empty() { "remove subject.team".to_owned() } else { format!("use one of {teams}") };
            let next_step =
                format!("{choice}, or have the team added to the namespace's annotation turnpike.dev/teams");
            (format!("keys of namespace {namespace} may not claim the team {team}"), next_step)
        }
        (_, None) => {
            let fault = format!("the teams of namespace {namespace} are not known yet");
            (fault, "wait; if it stays so, see the operator's log".to_owned())
        }
    };
    report.problem("spec.subject.team", Reason::TeamNotAllowed, fault, next_step);
    Err(Reported)
}

/// A reference to a budget that does not exist is said, and refuses nobody.
fn budgets_exist(context: Context<'_>, object: &ObjectRef, resource: &VirtualKey, report: &mut Report) {
    for (at, reference) in resource.spec.budget_refs.iter().enumerate() {
        let budget = ObjectRef { namespace: object.namespace.clone(), name: reference.name.clone() };
        if !context.budgets.contains(&budget) {
            report.problem(
                format!("spec.budgetRefs[{at}].name"),
                Reason::RefNotFound,
                format!("there is no Budget {} in namespace {}", budget.name, budget.namespace),
                "create it, or correct the name",
            );
        }
    }
}

/// Keys are replaced by the operator; a bad interval has the key stay as it is.
fn rotation(context: Context<'_>, resource: &VirtualKey, report: &mut Report) {
    let field = "spec.rotation";
    let Some(rotation) = &resource.spec.rotation else { return };
    if let Err(error) = rotation.schedule() {
        report.invalid(field, error.to_string(), "write durations such as 720h and 24h");
    } else if context.settings.mode == Mode::Standalone {
        let fault = "the field has no effect outside a cluster: nothing replaces keys here";
        report.warn(field, Reason::NoEffect, fault, "replace the key by hand, or remove the field");
    }
}
