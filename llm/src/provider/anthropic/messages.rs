//! The turns of a conversation as Anthropic takes them.

use serde::Serialize;

use super::block::{Block, Blocks, Says};
use crate::{
    chat::{Role, Turn},
    error::EncodeError,
    inbound::invalid,
};

/// One message.
#[derive(Serialize)]
pub(super) struct Message<'a> {
    role: &'static str,
    content: Vec<Block<'a>>,
}

/// All turns: neighbours of one role joined, empty ones left out.
pub(super) fn messages<'a>(turns: &'a [Turn], blocks: &mut Blocks<'_, '_>) -> Result<Vec<Message<'a>>, EncodeError> {
    let mut messages: Vec<Message<'a>> = Vec::with_capacity(turns.len());
    for turn in turns {
        let content = turn.blocks.iter().filter_map(|block| blocks.block(block).transpose());
        let content = content.collect::<Result<Vec<_>, _>>()?;
        let role = match turn.role {
            Role::User => "user",
            Role::Assistant => "assistant",
        };
        match messages.last_mut() {
            _ if content.is_empty() => {}
            Some(last) if last.role == role => last.content.extend(content),
            _ => messages.push(Message { role, content }),
        }
    }
    for message in messages.iter_mut().filter(|message| message.role == "user") {
        // Results come before what else the user says.
        message.content.sort_by_key(|block| !matches!(block.says, Says::ToolResult { .. }));
    }
    trim_last(&mut messages);
    if messages.is_empty() {
        return Err(invalid("messages", &"beside system messages there must be one that says something"));
    }
    Ok(messages)
}

/// An answer to be continued must not end in white space.
fn trim_last(messages: &mut [Message<'_>]) {
    let last = messages.last_mut().filter(|message| message.role == "assistant");
    if let Some(Block { says: Says::Text { text }, .. }) = last.and_then(|message| message.content.last_mut()) {
        *text = text.trim_end();
    }
}
