//! Manifests and the report, as files and text: the only part of the import that touches the world.

use std::{
    fs::{self, File},
    io::Write,
    path::Path,
};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;
use turnpike_crds::{BudgetSpec, ModelDeploymentSpec, VirtualKeySpec};

use super::{Arguments, Imported, import, notes::report};
use crate::args;

/// What stands above the Secret of a folder.
const SECRETS_HEADER: &str = "# For a folder of manifests only: each value is read from the gateway's environment.\n\
                              # In a cluster make the Secret with kubectl instead, and never apply this file.\n";

/// Reads the config, writes manifests, and says on standard error what else there is to know.
///
/// # Errors
/// The config cannot be read, or the manifests cannot be written.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let Arguments { config, namespace, output } = arguments;
    let text = fs::read_to_string(config).with_context(|| format!("cannot read {}", config.display()))?;
    let read = parse(&text).with_context(|| format!("cannot read {}", config.display()))?;
    let imported = import(&read, namespace.as_deref(), &args::variable);
    if output.as_os_str() == "-" {
        let documents: Vec<String> = imported.files()?.into_iter().map(|(_, text)| text).collect();
        std::io::stdout().write_all(documents.join("---\n").as_bytes())?;
    } else {
        write(output, &imported)?;
    }
    eprint!("{}", imported.summary());
    Ok(())
}

/// A config as LiteLLM reads it.
///
/// # Errors
/// It is no YAML, or no mapping. The text says where, and shows nothing of the content.
pub fn parse(text: &str) -> anyhow::Result<Value> {
    let options = serde_saphyr::options! { strict_booleans: true, with_snippet: false };
    let read: Value = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| anyhow::anyhow!("{}", error.without_snippet()))?;
    anyhow::ensure!(read.is_object(), "it is no config of LiteLLM: there is no mapping with model_list");
    Ok(read)
}

fn write(folder: &Path, imported: &Imported) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let secret = imported.secrets.manifest(imported.namespace.as_deref());
    let secret = secret.map(|secret| anyhow::Ok(format!("{SECRETS_HEADER}{}", serde_saphyr::to_string(&secret)?)));
    let mut files = imported.files()?;
    files.extend(secret.transpose()?.map(|text| ("secrets.yaml", text)));
    for (name, text) in files {
        let path = folder.join(name);
        let new = File::create_new(&path);
        let mut file =
            new.with_context(|| format!("cannot make {}; remove it or name another folder", path.display()))?;
        file.write_all(text.as_bytes())?;
    }
    Ok(())
}

impl Imported {
    /// Names and contents of the manifests' files, without any Secret.
    ///
    /// # Errors
    /// An object cannot be written as YAML: a fault of the importer.
    pub fn files(&self) -> anyhow::Result<Vec<(&'static str, String)>> {
        let files = [
            ("models.yaml", documents(&self.models, &ModelDeploymentSpec::default())?),
            ("keys.yaml", documents(&self.keys, &VirtualKeySpec::default())?),
            ("budgets.yaml", documents(&self.budgets, &BudgetSpec::default())?),
        ];
        Ok(files.into_iter().filter(|(_, text)| !text.is_empty()).collect())
    }

    /// The Secret of a folder, which reads the gateway's environment. `None` = no model needs one.
    pub fn secret(&self) -> Option<Value> {
        self.secrets.manifest(self.namespace.as_deref())
    }

    /// What was made, what is left to do, and how secrets get to where they are wanted.
    pub fn summary(&self) -> String {
        let counts = [
            (self.models.len(), "ModelDeployments"),
            (self.keys.len(), "VirtualKeys"),
            (self.budgets.len(), "Budgets"),
        ];
        let counts: Vec<String> = counts.iter().map(|(count, kind)| format!("{kind}: {count}")).collect();
        let secrets = match self.secrets.commands(self.namespace.as_deref()) {
            Some(commands) => format!(
                "Secrets: in a cluster run, with the variables set (a folder's secrets.yaml reads them from the gateway's \
                 environment):\n{commands}"
            ),
            None => String::new(),
        };
        let keys =
            "Keys that clients have are in LiteLLM's database: docs/migrating-from-litellm.md takes them over.\n";
        format!("{}\n{}{secrets}{keys}", counts.join(", "), report(&self.notes))
    }
}

/// YAML documents, without the fields that say no more than their defaults.
fn documents<T: Serialize>(objects: &[T], default: &impl Serialize) -> anyhow::Result<String> {
    let default = serde_json::to_value(default)?;
    let mut documents = Vec::with_capacity(objects.len());
    for object in objects {
        let mut object = serde_json::to_value(object)?;
        if let Some(spec) = object.get_mut("spec").and_then(Value::as_object_mut) {
            spec.retain(|name, value| default.get(name) != Some(value));
        }
        documents.push(serde_saphyr::to_string(&object)?);
    }
    Ok(documents.join("---\n"))
}
