//! Where passwords are kept.

use std::path::PathBuf;

use super::given::Choice;
use super::section::Section;
use super::show::Shown;

/// `[secrets.<store>]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreConfig {
    /// A folder with one file, or one folder, for each secret.
    Directory {
        /// Where it is.
        path: PathBuf,
    },
    /// Variables of Millpond's own environment.
    Env {
        /// What their names begin with.
        prefix: String,
    },
    /// A program that prints the secret.
    Exec {
        /// The program and its arguments; `{key}` stands for the secret's name.
        command: Vec<String>,
    },
    /// A TOML or JSON file.
    File {
        /// Where it is.
        path: PathBuf,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum StoreKind {
    Directory,
    Env,
    Exec,
    File,
}

impl Choice for StoreKind {
    const EXPECTED: &'static str = r#""file", "directory", "env" or "exec""#;
    const NAMES: &'static [(&'static str, Self)] = &[
        ("file", Self::File),
        ("directory", Self::Directory),
        ("env", Self::Env),
        ("exec", Self::Exec),
    ];
}

impl StoreKind {
    /// The key that says where the secrets are.
    fn own_key(self) -> &'static str {
        match self {
            Self::Directory | Self::File => "path",
            Self::Env => "prefix",
            Self::Exec => "command",
        }
    }
}

impl StoreConfig {
    /// `None` after a refusal.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let kind = section.setting::<StoreKind>("kind");
        if !section.had("kind") {
            section.missing("kind", StoreKind::EXPECTED);
        }
        let path = section.path("path");
        let prefix = section.text("prefix");
        let words = "a list of texts: the program and its arguments";
        let command = section.list("command", words, |text| Some(text.to_owned()));
        let kind = kind?;
        let own = kind.own_key();
        for (key, kinds) in
            [("path", r#""file" or "directory""#), ("prefix", r#""env""#), ("command", r#""exec""#)]
        {
            if key != own && section.had(key) {
                let name = kind.name();
                let why = format!("only for kind = {kinds}; \"{name}\" has `{own}`");
                section.conflict(key, why);
            }
        }
        let given = section.had(own);
        match kind {
            StoreKind::Directory => {
                if !given {
                    section.missing("path", "the path of a folder with a file for each secret");
                }
                Some(Self::Directory { path: path? })
            }
            StoreKind::Env => Some(Self::Env { prefix: prefix.unwrap_or_default() }),
            StoreKind::Exec => {
                if !given {
                    section.missing("command", words);
                }
                let command = command?;
                if command.first().is_none_or(String::is_empty) {
                    section.conflict("command", "it has no program: expected its path or name");
                    return None;
                }
                Some(Self::Exec { command })
            }
            StoreKind::File => {
                if !given {
                    section.missing("path", "the path of a TOML or JSON file");
                }
                Some(Self::File { path: path? })
            }
        }
    }

    pub(super) fn show(&self) -> Shown {
        let shown = |kind: StoreKind| Shown::new().put("kind", kind.name());
        match self {
            Self::Directory { path } => {
                shown(StoreKind::Directory).put("path", path.display().to_string())
            }
            Self::Env { prefix } => shown(StoreKind::Env).put("prefix", prefix.as_str()),
            Self::Exec { command } => shown(StoreKind::Exec).put("command", command.clone()),
            Self::File { path } => shown(StoreKind::File).put("path", path.display().to_string()),
        }
    }
}
