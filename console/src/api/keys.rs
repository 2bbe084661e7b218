//! `/key/*`: a key is a `VirtualKey` of which the hash is kept.

use std::sync::Arc;

use axum::{
    Json,
    body::Bytes,
    extract::{Path, State},
};
use http::Uri;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use turnpike_bundle::{Contents, sha256_hex};
use turnpike_crds::{NanoUsd, ObjectMeta, Time, VirtualKey, VirtualKeySpec};

use super::{
    Answer, Store,
    error::ApiError,
    fields::{Fields, Given},
    query::Query,
};
use crate::store::{Catalog, Change, Held, Object, Origin, alias};

mod edit;
mod row;
mod secret;

pub(super) use row::key_id;

/// Longest beginning of a resource's name that comes from an alias: with what follows it is a legal name.
const READABLE: usize = 40;

/// `POST /key/generate`
pub(super) async fn generate(State(store): State<Store>, body: Bytes) -> Answer {
    let now = now();
    let mut fields = Fields::read(&body)?;
    let chosen = fields.text("key")?.value().map(|key| secret::chosen("key", key)).transpose()?;
    let namespace = fields.text("namespace")?.value();
    let mut key = VirtualKey {
        metadata: ObjectMeta { creation_timestamp: Some(Time(now)), ..ObjectMeta::default() },
        spec: VirtualKeySpec { allowed_models: vec!["*".to_owned()], ..VirtualKeySpec::default() },
        status: None,
    };
    edit::apply(&mut fields, &mut key, now)?;
    fields.finish(edit::REFUSED)?;
    let text = chosen.map_or_else(secret::new, Ok)?;
    set_secret(&mut key, &text);
    let catalog = store.catalog();
    let readable = alias(&key).map(name_from).filter(|name| !name.is_empty());
    key.metadata.name = Some(new_name(readable.as_deref().unwrap_or("key"))?);
    key.metadata.namespace = Some(namespace.unwrap_or_else(|| namespace_of(&catalog.contents)));
    let key = put(&store, None, key).await?;
    let mut row = row::row(&store.catalog(), &key, NanoUsd(0), now);
    row.insert("key".to_owned(), text.into());
    Ok(Json(row.into()))
}

/// `POST /key/update`
pub(super) async fn update(State(store): State<Store>, body: Bytes) -> Answer {
    let now = now();
    let mut fields = Fields::read(&body)?;
    let named = fields.needed("key")?;
    let before = find(&store.catalog(), &named)?;
    let mut key = VirtualKey::clone(&before.resource);
    edit::apply(&mut fields, &mut key, now)?;
    fields.finish(edit::REFUSED)?;
    touched(&mut key, now);
    let key = put(&store, Some(before), key).await?;
    described(&store, &named, &key).await
}

/// `POST /key/block`
pub(super) async fn block(State(store): State<Store>, body: Bytes) -> Answer {
    suspend(&store, &body, true).await
}

/// `POST /key/unblock`
pub(super) async fn unblock(State(store): State<Store>, body: Bytes) -> Answer {
    suspend(&store, &body, false).await
}

async fn suspend(store: &Store, body: &[u8], suspended: bool) -> Answer {
    let mut fields = Fields::read(body)?;
    let named = fields.needed("key")?;
    fields.finish(&[])?;
    let before = find(&store.catalog(), &named)?;
    let mut key = VirtualKey::clone(&before.resource);
    key.spec.suspended = suspended;
    touched(&mut key, now());
    let key = put(store, Some(before), key).await?;
    described(store, &named, &key).await
}

/// `POST /key/regenerate`
pub(super) async fn regenerate(State(store): State<Store>, body: Bytes) -> Answer {
    let mut fields = Fields::read(&body)?;
    let named = fields.needed("key")?;
    replace(&store, &named, fields).await
}

/// `POST /key/{key}/regenerate`
pub(super) async fn regenerate_named(State(store): State<Store>, Path(named): Path<String>, body: Bytes) -> Answer {
    replace(&store, &named, Fields::read(&body)?).await
}

/// Another text for the same key: its id, limits and spend stay, the old text stops at once.
async fn replace(store: &Store, named: &str, mut fields: Fields) -> Answer {
    let now = now();
    let chosen = fields.text("new_key")?.value().map(|key| secret::chosen("new_key", key)).transpose()?;
    let before = find(&store.catalog(), named)?;
    let mut key = VirtualKey::clone(&before.resource);
    edit::apply(&mut fields, &mut key, now)?;
    fields.finish(edit::REFUSED)?;
    let text = chosen.map_or_else(secret::new, Ok)?;
    set_secret(&mut key, &text);
    touched(&mut key, now);
    let key = put(store, Some(before), key).await?;
    described(store, &text, &key).await
}

/// `POST /key/delete`
pub(super) async fn delete(State(store): State<Store>, body: Bytes) -> Answer {
    let mut fields = Fields::read(&body)?;
    let named = fields.texts("keys")?.value().unwrap_or_default();
    let aliases = fields.texts("key_aliases")?.value().unwrap_or_default();
    fields.finish(&[])?;
    if named.is_empty() && aliases.is_empty() {
        return Err(ApiError::field("keys", "nothing is to be deleted; send keys or key_aliases"));
    }
    let catalog = store.catalog();
    let mut changes: Vec<Change> = Vec::new();
    let by_key = named.iter().map(|name| find(&catalog, name));
    let by_alias = aliases.iter().map(|name| {
        let found = catalog.keys.iter().find(|held| alias(&held.resource) == Some(name));
        found.cloned().ok_or_else(|| ApiError::NotFound(format!("no key has the alias \"{name}\"; see GET /key/list")))
    });
    for held in by_key.chain(by_alias) {
        let change = Change { before: Some(Object::Key(held?.resource)), after: None };
        if !changes.contains(&change) {
            changes.push(change);
        }
    }
    store.change(changes).await?;
    Ok(Json(json!({"deleted_keys": named.into_iter().chain(aliases).collect::<Vec<_>>()})))
}

/// `GET /key/info`
pub(super) async fn info(State(store): State<Store>, uri: Uri) -> Answer {
    let mut query = Query::of(&uri);
    let named = query.text("key").ok_or_else(|| {
        ApiError::field("key", "key is missing; add ?key= with a key or its sha256 (the admin key itself is none)")
    })?;
    query.finish(&[])?;
    let held = find(&store.catalog(), &named)?;
    let row = rows(&store, &[held]).await?.pop().unwrap_or_default();
    Ok(Json(json!({"key": named, "info": row})))
}

/// `GET /key/list`
pub(super) async fn list(State(store): State<Store>, uri: Uri) -> Answer {
    let mut query = Query::of(&uri);
    let page = query.number("page", (1, 1_000_000))?.unwrap_or(1);
    let size = query.number("size", (1, 100))?.unwrap_or(10);
    let whole = query.flag("return_full_object")?.unwrap_or_default();
    let (user, team) = (query.text("user_id"), query.text("team_id"));
    let (wanted, hash) = (query.text("key_alias"), query.text("key_hash"));
    // The admin sees all keys in any case.
    query.finish(&["include_team_keys", "include_created_by_keys"])?;
    let catalog = store.catalog();
    let found: Vec<&Held<VirtualKey>> = catalog
        .keys
        .iter()
        .filter(|held| {
            let key = held.resource.as_ref();
            let subject = key.spec.subject.clone().unwrap_or_default();
            let is = |wanted: &Option<String>, is: Option<&str>| wanted.is_none() || wanted.as_deref() == is;
            is(&user, subject.user.as_deref())
                && is(&team, subject.team.as_deref())
                && is(&wanted, alias(key))
                && (hash.is_none() || hash.as_deref() == catalog.sha256(key))
        })
        .collect();
    let shown: Vec<Held<VirtualKey>> = found.iter().skip((page - 1) * size).take(size).copied().cloned().collect();
    let keys: Vec<Value> = if whole {
        rows(&store, &shown).await?.into_iter().map(Value::Object).collect()
    } else {
        shown.iter().map(|held| json!(catalog.sha256(&held.resource))).collect()
    };
    let pages = found.len().div_ceil(size);
    Ok(Json(json!({"keys": keys, "total_count": found.len(), "current_page": page, "total_pages": pages})))
}

/// What may be shown of a key: `sk-...` and its end, where that is known.
pub(super) fn shown(key: &VirtualKey) -> Option<&str> {
    key.metadata.annotations.as_ref()?.get(row::SHOWN).map(String::as_str)
}

/// A name that no other resource has, nor had.
pub(super) fn new_name(beginning: &str) -> Result<String, ApiError> {
    Ok(format!("{beginning}-{}", secret::suffix()?))
}

/// The key that a text or hash names.
pub(super) fn find(catalog: &Catalog, named: &str) -> Result<Held<VirtualKey>, ApiError> {
    catalog.key_by_hash(&secret::hash_of(named)).cloned().ok_or_else(|| {
        ApiError::NotFound("there is no such key; send the key or its sha256, as GET /key/list has it".to_owned())
    })
}

async fn put(store: &Store, before: Option<Held<VirtualKey>>, key: VirtualKey) -> Result<Held<VirtualKey>, ApiError> {
    let key = Arc::new(key);
    let before = before.map(|held| Object::Key(held.resource));
    store.change(vec![Change { before, after: Some(Object::Key(Arc::clone(&key))) }]).await?;
    Ok(Held { resource: key, origin: Origin::Api })
}

/// A key's row with the text that it was asked for by.
async fn described(store: &Store, named: &str, key: &Held<VirtualKey>) -> Answer {
    let mut row = rows(store, std::slice::from_ref(key)).await?.pop().unwrap_or_default();
    row.insert("key".to_owned(), named.into());
    Ok(Json(row.into()))
}

async fn rows(store: &Store, keys: &[Held<VirtualKey>]) -> Result<Vec<Map<String, Value>>, ApiError> {
    let now = Timestamp::now();
    let spent = store.spent(keys.iter().map(|held| row::since(&held.resource, now)).collect()).await?;
    let catalog = store.catalog();
    Ok(keys.iter().zip(spent).map(|(held, spent)| row::row(&catalog, held, spent, now)).collect())
}

/// To the second, as times in resources are.
pub(super) fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_second(now.as_second()).unwrap_or(now)
}

/// Only the hash and the end of it are kept.
fn set_secret(key: &mut VirtualKey, text: &str) {
    key.spec.key_hash = Some(format!("sha256:{}", sha256_hex(text.as_bytes())));
    edit::note(key, row::SHOWN, Given::Is(secret::shown(text)));
}

fn touched(key: &mut VirtualKey, now: Timestamp) {
    edit::note(key, row::UPDATED, Given::Is(now.to_string()));
}

/// What a resource's name may have of an alias: lower-case letters, digits and single dashes.
fn name_from(alias: &str) -> String {
    let mut name = String::new();
    for character in alias.to_lowercase().chars() {
        if character.is_ascii_alphanumeric() {
            name.push(character);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    name.truncate(READABLE);
    name.trim_end_matches('-').to_owned()
}

/// Where a key finds the models: their namespace if they are all in one, else `default`.
pub(super) fn namespace_of(contents: &Contents) -> String {
    let mut namespaces = contents.models.iter().map(|model| &model.object.namespace);
    match namespaces.next() {
        Some(first) if namespaces.all(|other| other == first) => first.clone(),
        _ => "default".to_owned(),
    }
}
