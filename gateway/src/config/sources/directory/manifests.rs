//! A document to an object: our three kinds and Secrets, with faults that name file, document and line.

use std::{collections::BTreeMap, sync::Arc};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde::de::DeserializeOwned;
use serde_json::Value;
use turnpike_bundle::{
    Problem, Secret,
    entry::ObjectRef,
    objects::Value as SecretValue,
    problem::{ObjectId, ObjectKind},
};
use turnpike_crds::{API_VERSION, Budget, ModelDeployment, Reason, VirtualKey, unknown_fields};

use super::documents::{self, Document};

/// Looks a variable of the environment up.
pub(super) type Lookup = dyn Fn(&str) -> Option<String> + Send;

/// What a value in `stringData` starts with that names a variable.
const FROM_VARIABLE: &str = "env:";
const DEFAULT_NAMESPACE: &str = "default";

/// An object of a kind that is read.
#[derive(Clone, Debug)]
pub(super) enum Object {
    Model(Arc<ModelDeployment>),
    Key(Arc<VirtualKey>),
    Budget(Arc<Budget>),
    Secret(Arc<Secret>),
}

/// An object, or that there is one which cannot be read.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) id: ObjectId,
    /// `None` = reported.
    pub(super) object: Option<Object>,
}

/// What a file says.
#[derive(Debug, Default)]
pub(super) struct Manifest {
    pub(super) items: Vec<Item>,
    /// Some document could not be read at all, so that nothing is known of its objects.
    pub(super) is_torn: bool,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

/// Reads a file.
pub(super) fn read(file: &str, bytes: &[u8], variable: &Lookup) -> Manifest {
    let mut reader = Reader { file, place: String::new(), variable, manifest: Manifest::default() };
    for document in documents::read(bytes) {
        reader.document(document);
    }
    reader.manifest
}

struct Reader<'a> {
    file: &'a str,
    /// `document 2, line 7` of the document that is being read.
    place: String,
    variable: &'a Lookup,
    manifest: Manifest,
}

impl Reader<'_> {
    fn document(&mut self, document: Document) {
        let number = document.number;
        let line = document.content.as_ref().err().and_then(|error| error.line).unwrap_or(document.line);
        self.place = format!("document {number}, line {line}");
        match document.content {
            Ok(value) => self.value(value),
            Err(error) => {
                self.manifest.is_torn = true;
                let next_step = "correct the YAML; until then what this file last held stays as it was";
                self.of_file(error.message, next_step);
            }
        }
    }

    fn value(&mut self, value: Value) {
        let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (api_version, kind) = (text("apiVersion"), text("kind"));
        match (api_version.as_str(), kind.as_str()) {
            ("v1", "List") => {
                let Value::Object(mut list) = value else { return };
                let Some(Value::Array(items)) = list.remove("items") else { return };
                for item in items {
                    self.value(item);
                }
            }
            ("v1", "Secret") => self.secret(&value),
            (API_VERSION, "ModelDeployment") => {
                self.resource(ObjectKind::ModelDeployment, value, |object| Object::Model(Arc::new(object)));
            }
            (API_VERSION, "VirtualKey") => {
                self.resource(ObjectKind::VirtualKey, value, |object| Object::Key(Arc::new(object)));
            }
            (API_VERSION, "Budget") => {
                self.resource(ObjectKind::Budget, value, |object| Object::Budget(Arc::new(object)));
            }
            (_, "") => self.of_file("this is no manifest: it has no kind".to_owned(), "set apiVersion and kind"),
            (other, "ModelDeployment" | "VirtualKey" | "Budget") => {
                let fault = format!("{kind} of apiVersion \"{other}\" is not known");
                self.of_file(fault, &format!("write apiVersion: {API_VERSION}"));
            }
            (other, kind) => {
                let fault = format!("objects of kind {kind} (apiVersion \"{other}\") are not read");
                let warning = invalid(self.file_id(), self.place.clone(), fault, "remove it from this folder");
                self.manifest.warnings.push(warning);
            }
        }
    }

    fn resource<T: DeserializeOwned>(&mut self, kind: ObjectKind, mut value: Value, wrap: fn(T) -> Object) {
        let Some(object) = self.identify(&mut value) else { return };
        let id = ObjectId { kind, object };
        let unknown = unknown_fields(&value, kind.as_str());
        for field in &unknown {
            let next_step = "correct its spelling and place, or remove it; kubectl explain shows what there is";
            self.of_object(&id, field.clone(), "there is no such field", next_step);
        }
        let parsed: Option<T> = match serde_path_to_error::deserialize(value) {
            Ok(object) => Some(object),
            Err(error) => {
                let path = error.path().to_string();
                let fault = error.into_inner().to_string();
                let next_step =
                    if fault.ends_with("expected a string") { "put it in quotes" } else { "correct the value" };
                self.of_object(&id, path, &fault, next_step);
                None
            }
        };
        let object = parsed.filter(|_| unknown.is_empty()).map(wrap);
        self.manifest.items.push(Item { id, object });
    }

    /// Namespace and name, with the default namespace filled in. `None` = reported.
    fn identify(&mut self, value: &mut Value) -> Option<ObjectRef> {
        let Some(metadata) = value.get_mut("metadata").and_then(Value::as_object_mut) else {
            self.of_file("the object has no metadata".to_owned(), "set metadata.name");
            return None;
        };
        let namespace = metadata.entry("namespace").or_insert_with(|| DEFAULT_NAMESPACE.into());
        let namespace = namespace.as_str().unwrap_or_default().to_owned();
        let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        if is_name(&name, 253, b"-.") && is_name(&namespace, 63, b"-") {
            return Some(ObjectRef { namespace, name });
        }
        let fault = format!("metadata.name \"{name}\" or metadata.namespace \"{namespace}\" is missing or not a name");
        self.of_file(fault, "use lower-case letters, digits and -");
        None
    }

    fn secret(&mut self, value: &Value) {
        let mut value = value.clone();
        let Some(object) = self.identify(&mut value) else { return };
        let id = ObjectId { kind: ObjectKind::Secret, object };
        let mut secret = Secret::default();
        let mut sound = self.secret_data(&id, &value, &mut secret);
        for (key, text) in members(&value, "stringData") {
            let Some(text) = text.as_str() else {
                self.of_object(&id, format!("stringData.{key}"), "the value is not a string", "put it in quotes");
                sound = false;
                continue;
            };
            secret.data.remove(key);
            let found = match text.strip_prefix(FROM_VARIABLE) {
                Some(variable) => (self.variable)(variable).filter(|text| !text.is_empty()).ok_or(variable),
                None => Ok(text.to_owned()),
            };
            match found {
                Ok(text) => {
                    secret.data.insert(key.clone(), SecretValue::Plain(text.into_bytes()));
                }
                Err(variable) => {
                    let next_step = format!("set {variable} in the gateway's environment and start it again");
                    secret.absent.insert(key.clone(), next_step);
                }
            }
        }
        let object = sound.then(|| Object::Secret(Arc::new(secret)));
        self.manifest.items.push(Item { id, object });
    }

    /// Whether all of `data` could be decoded.
    fn secret_data(&mut self, id: &ObjectId, value: &Value, secret: &mut Secret) -> bool {
        let mut sound = true;
        for (key, text) in members(value, "data") {
            let packed: Option<String> = text.as_str().map(|text| text.split_ascii_whitespace().collect());
            if let Some(bytes) = packed.and_then(|packed| STANDARD.decode(packed).ok()) {
                secret.data.insert(key.clone(), SecretValue::Plain(bytes));
            } else {
                let next_step = "encode it, or move it to stringData as plain text";
                self.of_object(id, format!("data.{key}"), "the value is not base64", next_step);
                sound = false;
            }
        }
        sound
    }

    fn of_file(&mut self, fault: String, next_step: &str) {
        let problem = invalid(self.file_id(), self.place.clone(), fault, next_step);
        self.manifest.problems.push(problem);
    }

    fn of_object(&mut self, id: &ObjectId, field: String, fault: &str, next_step: &str) {
        let fault = format!("{fault} ({}, {})", self.file, self.place);
        let problem = invalid(id.clone(), field, fault, next_step);
        self.manifest.problems.push(problem);
    }

    fn file_id(&self) -> ObjectId {
        file_id(self.file)
    }
}

fn invalid(object: ObjectId, field: String, message: String, next_step: &str) -> Problem {
    Problem { object, field, reason: Reason::Invalid, message, next_step: next_step.to_owned() }
}

/// A file as the place of a fault.
pub(super) fn file_id(file: &str) -> ObjectId {
    ObjectId { kind: ObjectKind::File, object: ObjectRef { namespace: String::new(), name: file.to_owned() } }
}

fn members<'a>(value: &'a Value, name: &str) -> BTreeMap<&'a String, &'a Value> {
    value.get(name).and_then(Value::as_object).into_iter().flatten().collect()
}

/// Lower-case letters, digits and `others`, as Kubernetes wants names; they become names of files, too.
fn is_name(text: &str, most: usize, others: &[u8]) -> bool {
    let legal = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || others.contains(&byte);
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    text.len() <= most && text.bytes().all(legal) && ends(text.bytes().next()) && ends(text.bytes().last())
}
