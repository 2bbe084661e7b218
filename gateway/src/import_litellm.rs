//! `turnpike-gateway import-litellm`: a LiteLLM proxy's `config.yaml` to manifests, and a word on all that has no place there.
//!
//! ```text
//!  config ─ defaults ◀─ router_settings, litellm_settings, general_settings
//!         ─ deployment: each entry of model_list by itself ─▶ groups: what those of one model_name decide together
//!         ─ budgets                                           │
//!                                                             ▼
//!                  notes: every other setting, by its path    objects ─ check: what a gateway would say of them
//! ```
//! A mapping is read by asking for its members; those that nobody asked for are looked up in tables of remedies, and what
//! is in none is named as unknown ([`section`]). So nothing is lost in silence.

use std::path::PathBuf;

use serde_json::Value;
use turnpike_crds::{Budget, ModelDeployment, VirtualKey};

pub use notes::{Note, Outcome, report};
pub use providers::prefixes;

use defaults::Defaults;
use deployment::Deployment;
use secrets::Secrets;
use section::{Context, Section};

mod budgets;
mod cache;
mod chains;
mod check;
mod defaults;
mod deployment;
mod groups;
mod money;
mod notes;
mod output;
mod providers;
mod secrets;
mod section;
mod settings;
mod upstream;

pub use output::{parse, run};

/// What to import, and where to.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// The proxy's config.yaml
    #[arg(value_name = "CONFIG")]
    pub config: PathBuf,

    /// Namespace of the objects [default: none is written]
    #[arg(long, value_name = "NAMESPACE")]
    pub namespace: Option<String>,

    /// Folder to write manifests into, with a Secret that reads the environment; - = standard output, without it
    #[arg(long, value_name = "DIR", default_value = "-")]
    pub output: PathBuf,
}

/// What a config becomes.
#[derive(Debug, Default)]
pub struct Imported {
    /// One for each deployment, and routes for fallbacks to several.
    pub models: Vec<ModelDeployment>,
    /// A first key for clients.
    pub keys: Vec<VirtualKey>,
    /// Limits of money.
    pub budgets: Vec<Budget>,
    /// Everything that did not simply carry over.
    pub notes: Vec<Note>,
    secrets: Secrets,
    namespace: Option<String>,
}

/// Imports a config. `variable` looks the environment up for what is not secret, such as addresses.
pub fn import(config: &Value, namespace: Option<&str>, variable: &dyn Fn(&str) -> Option<String>) -> Imported {
    let own = own_variables(config);
    let variable = |name: &str| variable(name).or_else(|| own.get(name).cloned());
    let mut context = Context {
        variable: &variable,
        notes: Vec::new(),
        secrets: Secrets::of(config),
        written: std::collections::BTreeSet::new(),
    };
    let mut root = Section::new("", Some(config), &mut context);
    let mut defaults = Defaults::default();
    let router = root.section("router_settings", &mut context);
    defaults.router(router, &mut context);
    let mut litellm = root.section("litellm_settings", &mut context);
    defaults.litellm(&mut litellm, &mut context);
    let general = root.section("general_settings", &mut context);
    defaults.general(general, &mut context);
    let deployments = deployments(&mut root, &defaults, &mut context);
    let budgets = budgets::read(&mut litellm, &deployments, &mut context);
    let key = budgets::key(&mut litellm, &mut context);
    litellm.finish(settings::LITELLM, &mut context);
    let models = groups::objects(deployments, &defaults, &mut context);
    variables(root.section("environment_variables", &mut context), &mut context);
    root.finish(settings::SECTIONS, &mut context);
    let Context { notes, secrets, .. } = context;
    let mut imported =
        Imported { models, keys: vec![key], budgets, notes, secrets, namespace: namespace.map(str::to_owned) };
    imported.place();
    let said = check::notes(&imported);
    imported.notes.extend(said);
    imported
}

impl Imported {
    /// Puts every object into the namespace.
    fn place(&mut self) {
        let Self { models, keys, budgets, namespace, .. } = self;
        let metadata = models.iter_mut().map(|object| &mut object.metadata);
        let metadata = metadata.chain(keys.iter_mut().map(|object| &mut object.metadata));
        for metadata in metadata.chain(budgets.iter_mut().map(|object| &mut object.metadata)) {
            metadata.namespace.clone_from(namespace);
        }
    }
}

/// What `environment_variables` says itself.
fn own_variables(config: &Value) -> std::collections::BTreeMap<String, String> {
    let members = config.get("environment_variables").and_then(Value::as_object).into_iter().flatten();
    let plain = members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    plain.filter(|(_, value)| !value.starts_with(section::FROM_VARIABLE)).collect()
}

/// Names, never values.
fn variables(mut section: Section<'_>, context: &mut Context<'_>) {
    for (name, _) in section.others() {
        let path = section.path(name);
        if context.secrets.keys().any(|key| key == name) {
            context.hand(
                path,
                format!("models need it: put it into {name} of Secret {}; it is not copied", secrets::SECRET),
            );
        } else if context.written.contains(name) {
            context.changed(path, "its value is written where it was referred to");
        } else {
            context.left(path, "nothing of the result reads it");
        }
    }
}

/// The entries of `model_list`, with what credentials and defaults add to them, and the models that only they name.
fn deployments(root: &mut Section<'_>, defaults: &Defaults, context: &mut Context<'_>) -> Vec<Deployment> {
    let credentials = credentials(root, context);
    let entries = root.items("model_list", context);
    if entries.is_empty() {
        context.hand("model_list", "there are no models here; list them, also those that LiteLLM's database has");
    }
    let mut deployments = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        let path = format!("model_list[{at}]");
        let entry = completed(&path, entry, &credentials, defaults, context);
        deployments.extend(deployment::read(&path, &entry, defaults, context));
    }
    let mut unknown: Vec<(String, String)> = Vec::new();
    for deployment in &deployments {
        let path = format!("{}.litellm_params.fallbacks", deployment.path);
        for name in &deployment.fallbacks {
            let is_known = deployments.iter().any(|other| other.group == *name)
                || defaults.aliases.iter().any(|(alias, ..)| alias == name)
                || unknown.iter().any(|(_, known)| known == name);
            if !is_known && !name.contains('*') {
                unknown.push((path.clone(), name.clone()));
            }
        }
    }
    for (path, name) in unknown {
        deployments.extend(deployment::only_a_fallback(&path, &name, defaults, context));
    }
    deployments
}

/// `credential_list`: names and values.
fn credentials<'a>(root: &mut Section<'a>, context: &mut Context<'_>) -> Vec<(String, Option<&'a Value>)> {
    let list = root.items("credential_list", context);
    let mut credentials = Vec::new();
    for (at, entry) in list.iter().enumerate() {
        let mut section = Section::new(format!("credential_list[{at}]"), Some(entry), context);
        let name = section.text("credential_name", context);
        let values = section.take("credential_values");
        section.finish(settings::CREDENTIAL, context);
        credentials.extend(name.map(|name| (name, values)));
    }
    credentials
}

/// An entry with what it inherits: its own parameters win over those of its credential, and these over everybody's.
fn completed(
    path: &str,
    entry: &Value,
    credentials: &[(String, Option<&Value>)],
    defaults: &Defaults,
    context: &mut Context<'_>,
) -> Value {
    let mut entry = entry.clone();
    let Some(params) = entry.get_mut("litellm_params") else { return entry };
    let name = params.as_object_mut().and_then(|params| params.remove("litellm_credential_name"));
    let name = name.as_ref().and_then(Value::as_str);
    let found = name.and_then(|name| credentials.iter().find(|(known, _)| known == name));
    if name.is_some() && found.is_none() {
        let text =
            "credential_list has none of this name; where LiteLLM's database has it, give the deployment an api_key";
        context.hand(format!("{path}.litellm_params.litellm_credential_name"), text);
    }
    let base =
        deployment::over(defaults.params.as_ref(), found.and_then(|(_, values)| *values).unwrap_or(&Value::Null));
    if params.is_object() {
        *params = deployment::over(Some(&base), params);
    }
    entry
}
