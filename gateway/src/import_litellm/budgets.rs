//! Budgets and the first key, from `litellm_settings` and deployments.

use turnpike_crds::{
    Budget, BudgetSpec, DurationString, ModelPattern, ObjectMeta, VirtualKey, VirtualKeySpec,
    budget::{BudgetLimit, Scope, Share, Window, WindowType},
    virtual_key::{Generate, KeyLimits},
};
use turnpike_ledger::window;

use super::{
    defaults::small,
    deployment::Deployment,
    money,
    section::{Context, Section},
    settings, upstream,
};

/// Name of the key that is made.
const KEY: &str = "imported";

/// A limit in USD, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Amount {
    pub(super) path: String,
    pub(super) limit: BudgetLimit,
}

/// `max_budget` and `budget_duration`, under whatever names.
pub(super) fn amount(
    section: &mut Section<'_>,
    (name, duration): (&str, &str),
    context: &mut Context<'_>,
) -> Option<Amount> {
    let path = section.path(name);
    let usd = money::amount(section, name, context);
    let spelled = section.text(duration, context);
    if usd.is_none() {
        if spelled.is_some() {
            context.left(section.path(duration), "it says nothing without an amount");
        }
        return None;
    }
    let (window, window_type) = match spelled.as_deref().map(window::litellm) {
        None => (Window::Lifetime, None),
        Some(Ok(found)) => found,
        Some(Err(error)) => {
            context
                .hand(section.path(duration), format!("{error}. The budget was left out; correct it and import again"));
            return None;
        }
    };
    // What a window is by itself needs no saying.
    let window_type =
        window_type.filter(|kind| BudgetLimit { window, ..BudgetLimit::default() }.effective_type() != Some(*kind));
    Some(Amount { path, limit: BudgetLimit { window, window_type, usd, ..BudgetLimit::default() } })
}

/// The budgets of `litellm_settings` and of deployments.
pub(super) fn read(litellm: &mut Section<'_>, deployments: &[Deployment], context: &mut Context<'_>) -> Vec<Budget> {
    let mut budgets = Vec::new();
    if let Some(Amount { path, limit }) = amount(litellm, ("max_budget", "budget_duration"), context) {
        context.changed(path, "it covers every key of the namespace; the admin key has no limits");
        budgets.push(budget("litellm-proxy", every_key(), Share::Shared, vec![limit]));
    }
    let users = users(litellm, context);
    if !users.is_empty() {
        budgets.push(budget("litellm-internal-users", every_key(), Share::PerUser, users));
    }
    if let Some(Amount { limit, .. }) =
        amount(litellm, ("max_end_user_budget", "max_end_user_budget_duration"), context)
    {
        let scope = Scope { end_user: Some("*".to_owned()), namespace: true, ..Scope::default() };
        budgets.push(budget("litellm-end-users", scope, Share::PerUser, vec![limit]));
    }
    budgets.extend(of_deployments(deployments, context));
    in_zone(&mut budgets, litellm, context);
    budgets
}

/// `timezone`: where the windows of budgets begin; those of keys are in UTC.
fn in_zone(budgets: &mut [Budget], litellm: &mut Section<'_>, context: &mut Context<'_>) {
    let Some(name) = litellm.text("timezone", context) else { return };
    let path = litellm.path("timezone");
    if turnpike_crds::window::zone(&name).is_none() {
        context.hand(path, "there is no such time zone; write one such as Europe/Oslo and import again");
        return;
    }
    let is_calendar = |limit: &BudgetLimit| limit.effective_type() == Some(WindowType::Calendar);
    let mut found = false;
    for budget in budgets.iter_mut().filter(|budget| budget.spec.limits.iter().any(is_calendar)) {
        budget.spec.time_zone = Some(name.clone());
        found = true;
    }
    let text = if found {
        "Budgets begin there; what stands in VirtualKeys begins in UTC"
    } else {
        "no Budget has a calendar"
    };
    context.changed(path, text);
}

fn every_key() -> Scope {
    Scope { namespace: true, ..Scope::default() }
}

fn budget(name: &str, scope: Scope, share: Share, limits: Vec<BudgetLimit>) -> Budget {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    let spec = BudgetSpec { scope: Some(scope), share, limits, ..BudgetSpec::default() };
    Budget { metadata, spec, status: None }
}

/// Limits of each user: `max_internal_user_budget` and `default_internal_user_params`.
fn users(litellm: &mut Section<'_>, context: &mut Context<'_>) -> Vec<BudgetLimit> {
    let general = amount(litellm, ("max_internal_user_budget", "internal_user_budget_duration"), context);
    let mut params = litellm.section("default_internal_user_params", context);
    let own = amount(&mut params, ("max_budget", "budget_duration"), context);
    let minute = BudgetLimit { window: Window::Minute, ..BudgetLimit::default() };
    let requests = params.positive("rpm_limit", 1_000_000_000_000, context);
    let tokens = params.positive("tpm_limit", 1_000_000_000_000, context);
    let models = params.texts("models", context);
    if !models.is_empty() {
        context.hand(params.path("models"), "write allowedModels of the users' VirtualKeys");
    }
    params.finish(settings::KEY, context);
    let money = own.or(general);
    if let Some(Amount { path, .. }) = &money {
        context.changed(path, "each subject.user has it, and each key that has no user");
    }
    let rates = [(requests, None), (None, tokens)].into_iter().filter(|rate| *rate != (None, None));
    let rates = rates.map(|(requests, tokens)| BudgetLimit { requests, tokens, ..minute.clone() });
    money.into_iter().map(|amount| amount.limit).chain(rates).collect()
}

/// A deployment's own budget is one of its name, where nobody shares the name.
fn of_deployments(deployments: &[Deployment], context: &mut Context<'_>) -> Vec<Budget> {
    let mut budgets = Vec::new();
    for deployment in deployments {
        let Some(Amount { path, limit }) = &deployment.budget else { continue };
        if deployments.iter().filter(|other| other.group == deployment.group).count() > 1 {
            let text = "a Budget counts names that clients ask for, and others share this one: give the deployment a \
                        model_name of its own and a fallback, and import again";
            context.hand(path, text);
            continue;
        }
        context.changed(path, "beyond it requests for the name are refused, where LiteLLM goes to another deployment");
        let scope = Scope { models: vec![deployment.group.clone()], ..every_key() };
        let name = format!("litellm-model-{}", budgets.len() + 1);
        budgets.push(budget(&name, scope, Share::Shared, vec![limit.clone()]));
    }
    budgets
}

/// A first key for clients, with what new keys of LiteLLM get.
pub(super) fn key(litellm: &mut Section<'_>, context: &mut Context<'_>) -> VirtualKey {
    let has_params = litellm.has("default_key_generate_params");
    let mut params = litellm.section("default_key_generate_params", context);
    let mut spec = VirtualKeySpec { generate: Some(Generate::default()), ..VirtualKeySpec::default() };
    let models = params.texts("models", context);
    let (legal, other): (Vec<_>, Vec<_>) = models.into_iter().partition(|model| ModelPattern::parse(model).is_ok());
    if !other.is_empty() {
        context.hand(params.path("models"), format!("{} is no name of a model, and was left out", other.join(", ")));
    }
    let all = legal.is_empty() || legal.iter().any(|model| model == "*" || model == "all-proxy-models");
    spec.allowed_models = if all { vec!["*".to_owned()] } else { legal };
    spec.budget = amount(&mut params, ("max_budget", "budget_duration"), context)
        .map(|amount| amount.limit)
        .into_iter()
        .collect();
    let limits = KeyLimits {
        rpm: params.positive("rpm_limit", 10_000_000, context),
        tpm: params.positive("tpm_limit", 1_000_000_000_000, context),
        max_parallel: params.positive("max_parallel_requests", 1_000_000, context).and_then(small),
        per_model: Vec::new(),
    };
    spec.limits = Some(limits).filter(|limits| *limits != KeyLimits::default());
    spec.ttl = params.text("duration", context).and_then(|text| ttl(&params.path("duration"), &text, context));
    let mut metadata = params.section("metadata", context);
    for (name, value) in metadata.others() {
        let is_secret = upstream::SECRET_NAMES.iter().any(|part| name.to_ascii_lowercase().contains(part));
        match value.as_str().filter(|_| !is_secret) {
            Some(text) => {
                spec.metadata.insert(name.to_owned(), text.to_owned());
            }
            None => context.left(metadata.path(name), "notes are plain texts, and hold no secret"),
        }
    }
    let path = params.path("");
    params.finish(settings::KEY, context);
    if has_params {
        let text = format!("VirtualKey {KEY} has them: copy it for each client; nothing gives them to other keys");
        context.changed(path.trim_end_matches('.'), text);
    }
    let metadata = ObjectMeta { name: Some(KEY.to_owned()), ..ObjectMeta::default() };
    VirtualKey { metadata, spec, status: None }
}

/// `30d` as hours: days are not among the units of durations.
fn ttl(path: &str, text: &str, context: &mut Context<'_>) -> Option<DurationString> {
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u32>().ok());
    let duration = days.map_or_else(|| text.into(), |days| DurationString(format!("{}h", u64::from(days) * 24)));
    if let Err(error) = duration.parse() {
        context.hand(path, format!("{error}; it was left out"));
        return None;
    }
    Some(duration)
}
