//! What a request says about its own way: the members and headers that `LiteLLM`'s users send for it.

use http::{HeaderMap, HeaderName};
use serde_json::Value;
use turnpike_llm::{
    error::{ErrorClass, UpstreamError},
    request::Request,
};
use turnpike_routing::{failure::Cause, plan};

use crate::error::Error;

const RETRIES: HeaderName = HeaderName::from_static("x-litellm-num-retries");
/// Most models that one list of a request may name.
const MOST_FALLBACKS: usize = 16;

/// What a request wishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    retries: Option<u8>,
    stays: bool,
    any: Vec<Box<str>>,
    /// `None` = as for any other failure.
    context_window: Option<Vec<Box<str>>>,
    content_policy: Option<Vec<Box<str>>>,
    mock: Option<ErrorClass>,
}

impl Wishes {
    /// Reads them. `name` is the model that was asked for; `is_admin` lets failures be played.
    ///
    /// # Errors
    /// A member of the wrong shape.
    pub fn read(request: &Request, client: &HeaderMap, name: &str, is_admin: bool) -> Result<Self, Error> {
        let header = client.get(&RETRIES).and_then(|value| value.to_str().ok()?.trim().parse().ok());
        if !request.has_gateway_only() {
            return Ok(Self { retries: header, ..Self::default() });
        }
        let list = |member| fallbacks(request, member, name);
        Ok(Self {
            retries: retries(request)?.or(header),
            stays: flag(request, "disable_fallbacks")?,
            any: list("fallbacks")?.unwrap_or_default(),
            context_window: list("context_window_fallbacks")?,
            content_policy: list("content_policy_fallbacks")?,
            mock: if is_admin { mock(request)? } else { None },
        })
    }

    /// It goes to the models behind its own name only, whatever they fall back to.
    pub fn stay(&mut self) {
        self.stays = true;
    }

    /// What of it the plan must know.
    pub fn plan(&self) -> plan::Wishes {
        let typed = [&self.context_window, &self.content_policy].map(|list| list.as_ref().map_or(0, Vec::len));
        let fallbacks = self.any.len().max(typed.into_iter().max().unwrap_or_default());
        let fallbacks = if self.stays { 0 } else { fallbacks };
        let retries =
            if self.mock == Some(ErrorClass::RateLimit) { self.retries } else { self.mock.map(|_| 0).or(self.retries) };
        plan::Wishes { retries, fallbacks, stays: self.stays }
    }

    /// Whether it names any model to go on with.
    pub fn names_fallbacks(&self) -> bool {
        self.plan().fallbacks > 0
    }

    /// The model at a place of the list for such a failure.
    pub fn fallback(&self, cause: Cause, index: usize) -> Option<&str> {
        let list = match cause {
            Cause::ContextWindow => self.context_window.as_ref(),
            Cause::ContentPolicy => self.content_policy.as_ref(),
            _ => None,
        };
        list.unwrap_or(&self.any).get(index).map(|name| &**name)
    }

    /// The failure that is played instead of asking the model that was asked for.
    pub fn played(&self) -> Option<Error> {
        let class = self.mock?;
        let message = "This failure is played: the request asks for it (mock_testing_...).".to_owned();
        let (kind, param, code, retry_after) = (None, None, None, None);
        let error = UpstreamError { class, status: 0, message, kind, param, code, retry_after };
        Some(Error::Answered { error: Box::new(error), headers: Box::default() })
    }
}

fn value(request: &Request, member: &'static str) -> Option<Value> {
    let value = request.member(member).and_then(|raw| serde_json::from_slice(raw).ok())?;
    (value != Value::Null).then_some(value)
}

fn wrong(member: &'static str, remedy: &str) -> Error {
    Error::Invalid { message: format!("'{member}' must be {remedy}.").into(), param: Some(member) }
}

fn flag(request: &Request, member: &'static str) -> Result<bool, Error> {
    match value(request, member) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(flag),
        Some(_) => Err(wrong(member, "true or false")),
    }
}

fn retries(request: &Request) -> Result<Option<u8>, Error> {
    match value(request, "num_retries") {
        None => Ok(None),
        Some(value) => {
            let retries = value.as_u64().ok_or_else(|| wrong("num_retries", "a whole number, 0 or more"))?;
            Ok(Some(u8::try_from(retries).unwrap_or(u8::MAX)))
        }
    }
}

fn mock(request: &Request) -> Result<Option<ErrorClass>, Error> {
    let played = [
        ("mock_testing_fallbacks", ErrorClass::ServerError),
        ("mock_testing_rate_limit_error", ErrorClass::RateLimit),
        ("mock_testing_context_fallbacks", ErrorClass::ContextWindow),
        ("mock_testing_content_policy_fallbacks", ErrorClass::ContentPolicy),
    ];
    for (member, class) in played {
        if flag(request, member)? {
            return Ok(Some(class));
        }
    }
    Ok(None)
}

/// Names, or objects: `{"model": name}`, or `{asked: [names]}` of which those for the model that was asked for count, or for
/// all (`*`).
fn fallbacks(request: &Request, member: &'static str, asked: &str) -> Result<Option<Vec<Box<str>>>, Error> {
    let Some(value) = value(request, member) else { return Ok(None) };
    let shape = || wrong(member, "a list of model names, or of objects such as {\"model\": name} and {name: [names]}");
    let mut names: Vec<Box<str>> = Vec::new();
    for item in value.as_array().ok_or_else(shape)? {
        match item {
            Value::String(name) => names.push(name.as_str().into()),
            Value::Object(object) => match object.get("model") {
                Some(name) => names.push(name.as_str().ok_or_else(shape)?.into()),
                None => {
                    for (of, list) in object {
                        let list = list.as_array().ok_or_else(shape)?;
                        let list = list.iter().map(|name| name.as_str().ok_or_else(shape));
                        let list = list.collect::<Result<Vec<&str>, Error>>()?;
                        if of == asked || of == "*" {
                            names.extend(list.into_iter().map(Box::from));
                        }
                    }
                }
            },
            _ => return Err(shape()),
        }
    }
    if names.len() > MOST_FALLBACKS {
        return Err(wrong(member, "a list of at most 16 models"));
    }
    Ok(Some(names))
}
