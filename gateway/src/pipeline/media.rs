//! Fetches the media that a request gives by URL, where its provider takes them in place only.

use futures_util::future::try_join_all;
use turnpike_llm::{
    media::{self, Fetched},
    provider::Operation,
    request::Request,
};

use super::admit::Permit;
use crate::{
    app::App,
    config::snapshot::{Backend, Model},
    error::Error,
    upstream::fetch::{FetchError, File},
};

/// Most files of one request.
const MAX_FILES: usize = 32;

/// Whose request it is.
pub struct Wanted<'a> {
    /// Fetches, and knows how much may be held.
    pub app: &'a App,
    /// The backend.
    pub model: &'a Model,
    /// Its own name of the model.
    pub upstream_model: &'a str,
}

impl Wanted<'_> {
    /// Fetches all of them, side by side; nothing at all for most requests. Their bytes are held under the permit.
    ///
    /// # Errors
    /// The client's fault: a request that cannot be read, too many files, or one that cannot be had. No room for them.
    pub async fn fetch(&self, operation: Operation, request: &Request) -> Result<(Fetched, Option<Permit>), Error> {
        let urls = self.urls(operation, request)?;
        if urls.is_empty() {
            return Ok((Fetched::default(), None));
        }
        if urls.len() > MAX_FILES {
            return Err(Error::Invalid {
                message: format!(
                    "The request gives {} files by URL, and its provider takes them in place only: send at most \
                     {MAX_FILES}, or send them as data: URLs.",
                    urls.len()
                )
                .into(),
                param: Some("messages"),
            });
        }
        // Boxed: rare, and every request would carry the room for it.
        let files = Box::pin(try_join_all(urls.iter().map(|url| self.file(url)))).await?;
        let mut fetched = Fetched::default();
        let mut permit = self.app.bodies.buffered.take(0)?;
        for (url, file) in urls.into_iter().zip(files) {
            // As base64, beside the bytes for a moment.
            permit.grow(&self.app.bodies.buffered, file.bytes.len().div_ceil(3) * 4)?;
            fetched.add(url, file.media_type, &file.bytes);
        }
        Ok((fetched, Some(permit)))
    }

    fn urls(&self, operation: Operation, request: &Request) -> Result<Vec<String>, Error> {
        let Backend::Provider(upstream) = &self.model.backend else {
            return Ok(Vec::new());
        };
        let target = upstream.target(self.upstream_model, &self.model.entry, false);
        Ok(media::wanted(upstream.adapter, operation, request, &target)?)
    }

    async fn file(&self, url: &str) -> Result<File, Error> {
        self.app.media.fetch(url).await.map_err(|error| {
            if matches!(error, FetchError::Busy) {
                return Error::Busy("bytes of buffered requests");
            }
            let source = std::error::Error::source(&error).map(ToString::to_string);
            tracing::info!(%error, source, "a file that a client gave by URL could not be fetched");
            Error::Invalid {
                message: format!(
                    "The file at '{}' could not be fetched: {error}. Its provider takes files in place only; send it as \
                     a data: URL.",
                    url.chars().take(200).collect::<String>()
                )
                .into(),
                param: Some("messages"),
            }
        })
    }
}
