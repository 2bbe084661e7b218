//! Reads objects from YAML, as the golden cases write them.

use std::sync::Arc;

use serde_json::Value;
use turnpike_bundle::{
    Objects, Secret, Settings,
    entry::ObjectRef,
    objects::{Mode, Value as SecretValue},
};
use turnpike_engine::overlay::Rule;

/// The documents of a case. A document of kind `Settings` says where the objects are; a Secret's `mintedFor` names the
/// `VirtualKey` that it was made for.
pub(crate) fn read(yaml: &str) -> (Objects, Settings) {
    let documents: Vec<Value> =
        serde_saphyr::from_multiple_with_options(yaml, serde_saphyr::options! { strict_booleans: true }).unwrap();
    let mut objects = Objects::default();
    let mut settings = Settings::standalone();
    for mut document in documents {
        match document["kind"].as_str().unwrap() {
            "Settings" => settings = read_settings(&document),
            "Namespace" => {
                let teams = document["metadata"]["annotations"]["turnpike.dev/teams"].as_str();
                let list = |teams: &str| teams.split(',').filter(|team| !team.is_empty()).map(str::to_owned).collect();
                let name = document["metadata"]["name"].as_str().unwrap();
                objects.namespaces.insert(name.to_owned(), teams.map(list));
            }
            "Service" => {
                if document["spec"]["type"] != "ExternalName" {
                    objects.services.insert(object(&document["metadata"]));
                }
            }
            "Secret" => {
                let (object, secret) = read_secret(&document);
                objects.secrets.insert(object, Arc::new(secret));
            }
            kind => {
                let kind = kind.to_owned();
                document.as_object_mut().unwrap().retain(|key, _| key != "kind" && key != "apiVersion");
                document["apiVersion"] = turnpike_crds::API_VERSION.into();
                document["kind"] = kind.clone().into();
                match kind.as_str() {
                    "ModelDeployment" => objects.models.push(Arc::new(serde_json::from_value(document).unwrap())),
                    "VirtualKey" => objects.keys.push(Arc::new(serde_json::from_value(document).unwrap())),
                    "Budget" => objects.budgets.push(Arc::new(serde_json::from_value(document).unwrap())),
                    other => panic!("unknown kind {other}"),
                }
            }
        }
    }
    (objects, settings)
}

fn read_settings(document: &Value) -> Settings {
    let text = |name: &str| document[name].as_str().unwrap_or_default().to_owned();
    let namespaces = |name: &str| {
        let namespaces = document[name].as_array().cloned().unwrap_or_default();
        namespaces.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
    };
    Settings {
        release_namespace: text("releaseNamespace"),
        instance: "turnpike".to_owned(),
        cluster: "prod".to_owned(),
        cluster_model_namespaces: namespaces("clusterModelNamespaces"),
        ambient_identity_namespaces: namespaces("ambientIdentityNamespaces"),
        mode: match text("mode").as_str() {
            "Cluster" => Mode::Cluster,
            "SingleTenant" => Mode::SingleTenant,
            _ => Mode::Standalone,
        },
        pod_overlay: Rule::AllowList,
    }
}

fn read_secret(document: &Value) -> (ObjectRef, Secret) {
    let metadata = &document["metadata"];
    let object = object(metadata);
    let strings = |value: &Value| {
        let pairs = value.as_object().cloned().unwrap_or_default();
        pairs.into_iter().map(|(key, value)| (key, value.as_str().unwrap().to_owned())).collect()
    };
    let data: std::collections::BTreeMap<String, String> = strings(&document["stringData"]);
    let secret = Secret {
        labels: strings(&metadata["labels"]),
        annotations: strings(&metadata["annotations"]),
        data: data.into_iter().map(|(key, value)| (key, SecretValue::Plain(value.into_bytes()))).collect(),
        absent: strings(&document["absent"]),
        minted_for: document["mintedFor"]
            .as_str()
            .map(|name| ObjectRef { namespace: object.namespace.clone(), name: name.to_owned() }),
    };
    (object, secret)
}

fn object(metadata: &Value) -> ObjectRef {
    let namespace = metadata["namespace"].as_str().unwrap_or("default").to_owned();
    ObjectRef { namespace, name: metadata["name"].as_str().unwrap().to_owned() }
}
