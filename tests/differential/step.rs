//! One command of a generated session.

use std::fmt;

use proptest::prelude::*;

use super::support::flavor::Flavor;
use super::{further, statements};

/// A line of [`super::statements`] with what was chosen for its words.
#[derive(Clone)]
pub(crate) struct Step {
    line: &'static str,
    choices: u32,
}

/// Sessions of this many steps on such a server.
pub(crate) fn session(steps: usize, flavor: Flavor) -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(flavor), steps / 2..=steps * 3 / 2)
}

fn step(flavor: Flavor) -> impl Strategy<Value = Step> {
    let own = match flavor {
        Flavor::MariaDb => further::KINDS_OF_MARIADB,
        Flavor::MySql => &[],
    };
    let kinds = statements::KINDS
        .iter()
        .chain(further::KINDS)
        .chain(own)
        .map(|kind| (kind.weight, (0..kind.lines.len()).prop_map(|at| kind.lines[at]).boxed()));
    let line = prop::strategy::Union::new_weighted(kinds.collect());
    (line, 0..100_000_u32).prop_map(|(line, choices)| Step { line, choices })
}

impl Step {
    /// One whose words are the first ones.
    pub(crate) fn known(line: &'static str) -> Self {
        Self { line, choices: 0 }
    }

    /// What a session says whose own database has this name, on a connection of this number.
    pub(crate) fn text(&self, database: &str, connection: u32) -> String {
        let mut choices = self.choices;
        let mut text = String::new();
        let mut rest = self.line;
        while let Some((before, after)) = rest.split_once('{') {
            let (words, after) = after.split_once('}').expect("a closing brace");
            text += before;
            let words: Vec<_> = words.split('|').collect();
            if words == ["#"] {
                text += &(choices % 60 + 1).to_string();
                choices /= 7;
            } else {
                text += words[choices as usize % words.len()];
                choices /= words.len() as u32;
            }
            rest = after;
        }
        (text + rest).replace('§', database).replace('¤', &connection.to_string())
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text("app_d", 0))
    }
}
