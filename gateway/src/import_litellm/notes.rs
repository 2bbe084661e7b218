//! What an import has to say beside the objects that it makes: each setting that did not simply carry over, by its path.

use std::fmt::{self, Write};

/// What became of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Somebody has to do something before the result serves as the config did.
    Hand,
    /// There is nothing of the kind here, or it is said elsewhere.
    Left,
    /// It carried over, and does not mean quite the same.
    Changed,
}

impl Outcome {
    const ALL: [Self; 3] = [Self::Hand, Self::Left, Self::Changed];

    fn heading(self) -> &'static str {
        match self {
            Self::Hand => "For you to do",
            Self::Left => "Not carried over",
            Self::Changed => "Carried over, but not quite the same",
        }
    }
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// Where it stands, such as `model_list[3].litellm_params.rpm`.
    pub path: String,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, and what to do. Never a value of the config that may be secret.
    pub text: String,
}

/// The notes by what became of the settings, as people read them.
pub fn report(notes: &[Note]) -> String {
    let mut text = String::new();
    for outcome in Outcome::ALL {
        let mut heading = Some(outcome.heading());
        for note in notes.iter().filter(|note| note.outcome == outcome) {
            if let Some(heading) = heading.take() {
                // Writing into a String does not fail.
                let _ = writeln!(text, "{heading}:");
            }
            let _ = writeln!(text, "  {note}");
        }
    }
    text
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.text)
    }
}
