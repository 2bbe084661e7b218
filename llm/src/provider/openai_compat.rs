//! The one adapter for every upstream that speaks OpenAI's dialect; what tells them apart is in [`quirks`].
//!
//! Same dialect on both sides: a body is never parsed whole, only edited where the provider wants something else.

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    chat::Turn,
    error::{EncodeError, UpstreamError},
    inbound, json,
    provider::{
        AuthScheme, CompiledParams, Decoded, Encoded, Operation, Provider, ProviderKind, Recall, Shown, Target,
        failure, no_route,
        quirks::{self, Act, Answers, EncodingFormat, Metadata, Quirks, Rule, StreamUsage},
        rerank, wire,
    },
    relay::{self, Relayed},
    request::Request,
    response as whole,
    splice::Editor,
    stream::{Framing, OpenAiStream, ResponsesStream, StreamDecoder, Translated},
};

mod as_responses;
mod calls;
mod format;
mod history;
mod messages;
mod request;
mod response;
mod stream;
mod tools;

/// What a path segment may hold unescaped (RFC 3986, unreserved).
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The adapter of one of these upstreams; `None` for other dialects.
pub(super) fn adapter(kind: ProviderKind) -> Option<&'static dyn Provider> {
    let quirks = quirks::TABLE.iter().find(|quirks| quirks.kind == kind)?;
    Some(quirks)
}

impl Provider for Quirks {
    fn speaks(&self, operation: Operation) -> bool {
        match operation {
            Operation::Chat | Operation::Completions | Operation::Embeddings => true,
            Operation::Responses => self.routes.responses.is_some(),
            operation => operation.is_relayed(),
        }
    }

    fn auth(&self) -> AuthScheme {
        self.auth
    }

    fn url(&self, operation: Operation, _stream: bool, target: &Target<'_>) -> String {
        let routes = &self.routes;
        if let (Operation::Responses, Some(path)) = (operation, routes.responses) {
            return wire::joined(target.base_url, path);
        }
        if let (Operation::Rerank, Some(rerank)) = (operation, self.rerank) {
            return rerank.url(target);
        }
        let model = utf8_percent_encode(target.model, SEGMENT).to_string();
        let prefix = routes.prefix.replace("{model}", &model);
        let mut url = wire::joined(target.base_url, &prefix);
        // A route that the provider lacks is refused by `encode`; its URL is never called.
        url.push_str(routes.path(operation).unwrap_or_default());
        if let Some(default) = routes.api_version {
            let version = utf8_percent_encode(target.api_version.unwrap_or(default), SEGMENT).to_string();
            url.push_str("?api-version=");
            url.push_str(&version);
        }
        url
    }

    fn encode(&self, operation: Operation, request: &Request, target: &Target<'_>) -> Result<Encoded, EncodeError> {
        if operation == Operation::Rerank {
            let rerank = self.rerank.ok_or_else(|| no_route(self.name, operation))?;
            return rerank.encode(self.name, request, target);
        }
        let is_missing = operation.is_relayed() && !self.relayed.contains(&operation);
        if self.routes.path(operation).is_none() || is_missing {
            return Err(no_route(self.name, operation));
        }
        if operation.is_relayed() {
            return relay::encode(request, target);
        }
        if !self.speaks(operation) {
            return self.translate(operation, request, target);
        }
        self.edited(operation, request, None, target)
    }

    fn decode(&self, operation: Operation, body: Bytes, shown: &Shown) -> Result<Decoded, UpstreamError> {
        if shown.recall.called(operation) != operation {
            let answer = as_responses::read(&body)?;
            return Ok(Decoded { body: inbound::write(operation, &answer, shown), usage: answer.usage });
        }
        let plain = match self.answers {
            Answers::InParts => whole::plain_contents(&body, "message"),
            answers if answers.may_think(shown) && operation.generates() => whole::thoughts::whole(&body),
            _ => None,
        };
        let body = plain.unwrap_or(body);
        match operation {
            Operation::Rerank => rerank::decode(&body, shown),
            operation if operation.is_relayed() => relay::decode(operation, &body, shown),
            operation if self.speaks(operation) => whole::decode(operation, &body, shown),
            operation => {
                let answer = response::read(&body, shown)?;
                Ok(Decoded { body: inbound::write(operation, &answer, shown), usage: answer.usage })
            }
        }
    }

    fn stream(&self, operation: Operation, shown: Shown) -> Box<dyn StreamDecoder> {
        match operation {
            operation if shown.recall.called(operation) != operation => {
                Box::new(Translated::new(Framing::sse(), Box::new(as_responses::Reader::default()), operation, shown))
            }
            Operation::Responses if self.speaks(operation) => Box::new(ResponsesStream::new(&shown)),
            Operation::Messages | Operation::Responses | Operation::GenerateContent => {
                let chunks = stream::Chunks::new(shown.clone(), self.answers.may_think(&shown));
                Box::new(Translated::new(Framing::sse(), Box::new(chunks), operation, shown))
            }
            operation if operation.is_relayed() => Box::new(Relayed::events()),
            _ if self.answers == Answers::InParts => Box::new(OpenAiStream::new(shown).in_parts()),
            operation => {
                let may_think = operation == Operation::Chat && self.answers.may_think(&shown);
                Box::new(OpenAiStream::new(shown).with_thoughts(may_think))
            }
        }
    }

    fn error(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> UpstreamError {
        failure::upstream_error(status, headers, body)
    }
}

impl Quirks {
    /// A request of another dialect as a chat, which is then this upstream's like any other: `params` are in its words.
    fn translate(&self, operation: Operation, request: &Request, target: &Target<'_>) -> Result<Encoded, EncodeError> {
        let as_asked = Target { params: &CompiledParams::default(), max_output_tokens: None, ..*target };
        let mut chat = inbound::read(operation, request, &as_asked)?;
        let request = request::write(operation, &mut chat, self, target)?;
        self.edited(Operation::Chat, &request, Some(chat.turns), target)
    }

    /// A request of this dialect with what the upstream wants otherwise changed; `said` are the turns of one that was
    /// translated into it.
    fn edited(
        &self,
        operation: Operation,
        request: &Request,
        said: Option<Vec<Turn>>,
        target: &Target<'_>,
    ) -> Result<Encoded, EncodeError> {
        let mut edit = request.edit();
        if request.has_gateway_only() {
            edit.strip_gateway_only();
        }
        self.edit_metadata(operation, &mut edit);
        self.edit_params(operation, request, target, &mut edit)?;
        self.edit_stream_options(operation, request, target, &mut edit);
        if operation == Operation::Embeddings && self.encoding_format == EncodingFormat::Remove {
            edit.delete("encoding_format");
        }
        if operation == Operation::Chat {
            if self.no_schemas.is_some_and(|family| family.covers(target.model)) {
                format::instruct(&mut edit);
            }
            self.edit_messages(target.model, &mut edit)?;
            tools::strip(self.undeclared, &mut edit);
        }
        self.edit_model(request, target, &mut edit);
        let body = edit.finish();
        let may_be_another = operation == Operation::Chat && self.routes.responses.is_some();
        if may_be_another && as_responses::may_need(target.model) {
            let body = body.to_bytes();
            if as_responses::needs(target.model, &body) {
                return as_responses::encode(body, said, self, target);
            }
            return Ok(Encoded::json(body.into(), Recall::default()));
        }
        Ok(Encoded::json(body, Recall::default()))
    }

    fn edit_model(&self, request: &Request, target: &Target<'_>, edit: &mut Editor<'_>) {
        let prefix = self.model_prefix;
        if !prefix.is_empty() && !target.model.contains('/') {
            edit.set_string("model", &format!("{prefix}{}", target.model));
        } else if request.model() != Some(target.model) {
            edit.set_string("model", target.model);
        }
    }

    fn edit_metadata(&self, operation: Operation, edit: &mut Editor<'_>) {
        if operation == Operation::Responses {
            if edit.value("metadata").is_some_and(|metadata| !is_labels(metadata)) {
                edit.delete("metadata");
            }
            return;
        }
        let goes_on = match self.metadata {
            Metadata::Never => false,
            Metadata::WithStore => operation == Operation::Chat && edit.value("store") == Some(b"true"),
        };
        if !goes_on {
            edit.delete("metadata");
        }
    }

    /// The backend's own wishes first, then what the provider and the model's family need.
    fn edit_params(
        &self,
        operation: Operation,
        request: &Request,
        target: &Target<'_>,
        edit: &mut Editor<'_>,
    ) -> Result<(), EncodeError> {
        target.params.apply(edit);
        if let Some(most) = target.max_output_tokens.filter(|_| operation.generates()) {
            self.cap_output(most, operation, target, edit);
        }
        let rules = self.rules.iter().copied().flatten();
        for rule in rules.filter(|rule| rule.on.covers(operation) && rule.family.covers(target.model)) {
            // A name that the backend's `rename` chose is not changed again.
            if !target.params.renames_to(rule.param) {
                self.apply(rule, request, target, edit)?;
            }
        }
        Ok(())
    }

    fn apply(
        &self,
        rule: &Rule,
        request: &Request,
        target: &Target<'_>,
        edit: &mut Editor<'_>,
    ) -> Result<(), EncodeError> {
        let Some(value) = edit.value(rule.param) else {
            if let Act::Default(value) = rule.act {
                edit.set(rule.param, Bytes::from_static(value.as_bytes()));
            }
            return Ok(());
        };
        match rule.act {
            Act::Rename(to) => edit.rename(rule.param, to),
            Act::Remove => {
                edit.delete(rule.param);
            }
            Act::Map(from, to) => {
                if value == from.as_bytes() {
                    edit.replace(rule.param, Bytes::from_static(to.as_bytes()));
                }
            }
            Act::Instead(when, member, new) => {
                if value == when.as_bytes() {
                    edit.delete(rule.param);
                    if !edit.has(member) {
                        edit.set(member, Bytes::from_static(new.as_bytes()));
                    }
                }
            }
            // Handled where it is not there.
            Act::Default(_) => {}
            Act::Refuse(neutral) => {
                let idle = value == b"null" || neutral.iter().any(|idle| idle.as_bytes() == value);
                if idle || target.drop_unsupported {
                    edit.delete(rule.param);
                } else if request.has(rule.param) {
                    return Err(self.unsupported(rule, target.model));
                }
                // Otherwise the backend's own default put it there: whoever wrote it knows better than this table.
            }
        }
        Ok(())
    }

    /// Lowers what the request allows to `most`, or says so where it says nothing.
    fn cap_output(&self, most: u64, operation: Operation, target: &Target<'_>, edit: &mut Editor<'_>) {
        let names: &[&str] = match operation {
            Operation::Responses => &[quirks::RESPONSES_LIMIT],
            _ => &[quirks::NEWER_LIMIT, quirks::OLDER_LIMIT],
        };
        let mut is_said = false;
        for name in names {
            let name = target.params.name_of(name);
            let Some(value) = edit.value(name) else { continue };
            is_said = true;
            if json::as_count(value).is_none_or(|asked| asked > most) {
                edit.replace(name, most.to_string());
            }
        }
        if !is_said {
            let name = match operation {
                Operation::Chat => self.output_limit,
                Operation::Responses => quirks::RESPONSES_LIMIT,
                _ => quirks::OLDER_LIMIT,
            };
            edit.set(target.params.name_of(name), most.to_string());
        }
    }

    fn unsupported(&self, rule: &Rule, model: &str) -> EncodeError {
        let param = rule.param;
        let whose = match rule.family {
            quirks::Family::All => self.name.to_owned(),
            quirks::Family::Starts(..) => format!("model '{model}' of {}", self.name),
        };
        EncodeError {
            message: format!(
                "Unsupported parameter: '{param}' is not supported by {whose}. Leave it out, send \"drop_params\": true, \
                 or set spec.provider.params.dropUnsupported on the model."
            )
            .into(),
            param: Some(param.into()),
            code: "unsupported_parameter",
        }
    }

    fn edit_stream_options(&self, operation: Operation, request: &Request, target: &Target<'_>, edit: &mut Editor<'_>) {
        match self.stream_usage {
            StreamUsage::Unasked => {
                edit.delete("stream_options");
            }
            StreamUsage::Ask => {
                // A backend that drops it knows why: its server refuses it.
                let chunks = matches!(operation, Operation::Chat | Operation::Completions);
                let wanted = chunks && request.stream() && !target.params.drops("stream_options");
                if wanted {
                    edit.ask_for_usage();
                }
            }
        }
    }
}

/// OpenAI's `metadata`: at most 16 short texts by short names. What else clients put there is for the gateway's log.
fn is_labels(metadata: &[u8]) -> bool {
    let members = json::scan(metadata).unwrap_or_default();
    let is_label = |member: &json::Member| {
        let value = json::as_str(member.value.of(metadata));
        member.name(metadata).chars().count() <= 64 && value.is_some_and(|value| value.chars().count() <= 512)
    };
    metadata.first() == Some(&b'{') && members.len() <= 16 && members.iter().all(is_label)
}
