//! The operator's bundle, mounted into the pod: takes what is consistent of it and keeps the last good rest.

use std::{io, path::Path};

use turnpike_bundle::{
    Contents, Parsed, Report, State, layout, parse,
    parse::{Reason, Rejection},
};

use super::volume::{Files, Volume};

/// A mounted bundle and what was taken of it so far.
pub struct Mounted {
    volume: Volume,
    state: State,
    last: Option<Look>,
}

/// What a look at the volume found.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// What is loaded now.
    pub report: Report,
    /// What was offered and not taken.
    pub rejections: Vec<Rejection>,
    /// The contents may be others than after the look before.
    pub changed: bool,
}

impl Mounted {
    /// Nothing is read yet; the folder need not be there.
    pub fn new(folder: &Path) -> Self {
        Self { volume: Volume::new(folder), state: State::default(), last: None }
    }

    /// Takes what is there now; `None` = all is as at the last look.
    pub fn look(&mut self) -> Option<Look> {
        let (rejections, changed) = match self.volume.look() {
            Ok(None) => return None,
            Ok(Some(files)) => self.take(&files),
            Err(error) if error.kind() == io::ErrorKind::NotFound => (vec![no_manifest(Reason::Absent)], false),
            Err(error) => (vec![no_manifest(Reason::Unreadable(error.to_string()))], false),
        };
        let look = Look { report: Report::new(&self.state, &rejections), rejections, changed };
        let news = self.last.as_ref().is_none_or(|last| changed || last.report != look.report);
        self.last = Some(look.clone());
        news.then_some(look)
    }

    /// What to serve from.
    pub fn contents(&self) -> &Contents {
        self.state.contents()
    }

    fn take(&mut self, files: &Files) -> (Vec<Rejection>, bool) {
        let Some(manifest) = files.get(layout::MANIFEST) else {
            return (vec![no_manifest(Reason::Absent)], false);
        };
        let Parsed { state, rejections, changed } = parse(manifest, files, std::mem::take(&mut self.state));
        self.state = state;
        (rejections, changed)
    }
}

fn no_manifest(reason: Reason) -> Rejection {
    Rejection { part: layout::MANIFEST.to_owned(), reason }
}
