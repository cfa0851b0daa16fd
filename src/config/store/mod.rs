//! Where passwords are kept.

mod aws;
mod clouds;
mod vault;

use std::path::PathBuf;

pub use aws::{AwsConfig, AwsVia};
pub use clouds::{AzureAuth, AzureConfig, GcpConfig};
pub use vault::{VaultAuth, VaultConfig, VaultEngine};

use super::given::Choice;
use super::secret::Secret;
use super::section::Section;
use super::show::Shown;

/// `[secrets.<store>]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreConfig {
    /// AWS Systems Manager's Parameter Store.
    AwsParameterStore(AwsConfig),
    /// AWS Secrets Manager.
    AwsSecretsManager(AwsConfig),
    /// A vault of Azure's.
    Azure(AzureConfig),
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
    /// Google's Secret Manager.
    Gcp(GcpConfig),
    /// HashiCorp Vault or OpenBao.
    Vault(VaultConfig),
}

/// Where a store's own secret, with which Millpond logs in to it, is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In the configuration.
    Here(Secret),
    /// In a file, which is read each time.
    File(PathBuf),
}

impl Kept {
    fn read(section: &mut Section<'_>, here: &str, file: &str) -> Option<Self> {
        let (secret, path) = (section.secret(here), section.path(file));
        if section.had(here) && section.had(file) {
            section.conflict(file, format!("there is `{here}` too: expected one"));
        }
        secret.map(Self::Here).or(path.map(Self::File))
    }
}

#[derive(Clone, Copy, PartialEq)]
enum StoreKind {
    AwsParameterStore,
    AwsSecretsManager,
    Azure,
    Directory,
    Env,
    Exec,
    File,
    Gcp,
    Vault,
}

impl Choice for StoreKind {
    const EXPECTED: &'static str = r#""file", "directory", "env", "exec", "aws_secrets_manager", "aws_parameter_store", "vault", "gcp" or "azure""#;
    const NAMES: &'static [(&'static str, Self)] = &[
        ("file", Self::File),
        ("directory", Self::Directory),
        ("env", Self::Env),
        ("exec", Self::Exec),
        ("aws_secrets_manager", Self::AwsSecretsManager),
        ("aws_parameter_store", Self::AwsParameterStore),
        ("vault", Self::Vault),
        ("gcp", Self::Gcp),
        ("azure", Self::Azure),
    ];
}

/// Keys that are not for every kind, and which have them.
const OF_SOME: &[(&str, &[StoreKind])] = {
    use StoreKind::*;
    const AWS: &[StoreKind] = &[AwsSecretsManager, AwsParameterStore];
    &[
        ("path", &[File, Directory]),
        ("prefix", &[Env]),
        ("command", &[Exec]),
        ("via", AWS),
        ("region", AWS),
        ("profile", AWS),
        ("endpoint", &[AwsSecretsManager, AwsParameterStore, Gcp]),
        ("ca", &[AwsSecretsManager, AwsParameterStore, Vault, Gcp, Azure]),
        ("address", &[Vault, Azure]),
        ("auth", &[Vault, Azure]),
        ("engine", &[Vault]),
        ("mount", &[Vault]),
        ("namespace", &[Vault]),
        ("auth_mount", &[Vault]),
        ("token", &[Vault]),
        ("token_file", &[Vault]),
        ("role_id", &[Vault]),
        ("secret_id", &[Vault]),
        ("secret_id_file", &[Vault]),
        ("role", &[Vault]),
        ("jwt_file", &[Vault]),
        ("project", &[Gcp]),
        ("key_file", &[Gcp]),
        ("tenant_id", &[Azure]),
        ("client_id", &[Azure]),
        ("client_secret", &[Azure]),
        ("client_secret_file", &[Azure]),
    ]
};

impl StoreKind {
    /// The key that says where the secrets are.
    fn own_key(self) -> &'static str {
        match self {
            Self::AwsParameterStore | Self::AwsSecretsManager => "region",
            Self::Azure | Self::Vault => "address",
            Self::Directory | Self::File => "path",
            Self::Env => "prefix",
            Self::Exec => "command",
            Self::Gcp => "project",
        }
    }

    /// Whether this build of Millpond has it, or the feature that it was built without.
    fn is_built(self) -> Result<(), &'static str> {
        let (built, feature) = match self {
            Self::AwsParameterStore => {
                (cfg!(feature = "aws-parameter-store"), "aws-parameter-store")
            }
            Self::AwsSecretsManager => {
                (cfg!(feature = "aws-secrets-manager"), "aws-secrets-manager")
            }
            Self::Azure => (cfg!(feature = "azure"), "azure"),
            Self::Gcp => (cfg!(feature = "gcp"), "gcp"),
            Self::Vault => (cfg!(feature = "vault"), "vault"),
            Self::Directory | Self::Env | Self::Exec | Self::File => (true, ""),
        };
        if built { Ok(()) } else { Err(feature) }
    }
}

impl StoreConfig {
    /// `None` after a refusal.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let kind = section.setting::<StoreKind>("kind");
        if !section.had("kind") {
            section.missing("kind", StoreKind::EXPECTED);
        }
        let Some(kind) = kind else {
            for (key, _) in OF_SOME {
                section.pass_over(key);
            }
            return None;
        };
        if let Err(feature) = kind.is_built() {
            let why = format!("this Millpond was built without it, the feature `{feature}`");
            section.conflict("kind", why);
        }
        for (key, kinds) in OF_SOME.iter().filter(|(_, kinds)| !kinds.contains(&kind)) {
            let names: Vec<_> = kinds.iter().map(|kind| format!("\"{}\"", kind.name())).collect();
            let (name, own) = (kind.name(), kind.own_key());
            section.refuse_unfit(key, || {
                format!("only for kind = {}; \"{name}\" has `{own}`", names.join(" or "))
            });
        }
        match kind {
            StoreKind::AwsParameterStore => Some(Self::AwsParameterStore(AwsConfig::read(section))),
            StoreKind::AwsSecretsManager => Some(Self::AwsSecretsManager(AwsConfig::read(section))),
            StoreKind::Azure => AzureConfig::read(section).map(Self::Azure),
            StoreKind::Gcp => GcpConfig::read(section).map(Self::Gcp),
            StoreKind::Vault => VaultConfig::read(section).map(Self::Vault),
            StoreKind::Directory => {
                let path = section.path("path");
                if !section.had("path") {
                    section.missing("path", "the path of a folder with a file for each secret");
                }
                Some(Self::Directory { path: path? })
            }
            StoreKind::Env => {
                Some(Self::Env { prefix: section.text("prefix").unwrap_or_default() })
            }
            StoreKind::Exec => read_command(section),
            StoreKind::File => {
                let path = section.path("path");
                if !section.had("path") {
                    section.missing("path", "the path of a TOML or JSON file");
                }
                Some(Self::File { path: path? })
            }
        }
    }

    pub(super) fn show(&self) -> Shown {
        let shown = |kind: StoreKind| Shown::new().put("kind", kind.name());
        match self {
            Self::AwsParameterStore(aws) => aws.show(shown(StoreKind::AwsParameterStore)),
            Self::AwsSecretsManager(aws) => aws.show(shown(StoreKind::AwsSecretsManager)),
            Self::Azure(azure) => azure.show(shown(StoreKind::Azure)),
            Self::Directory { path } => {
                shown(StoreKind::Directory).put("path", path.display().to_string())
            }
            Self::Env { prefix } => shown(StoreKind::Env).put("prefix", prefix.as_str()),
            Self::Exec { command } => shown(StoreKind::Exec).put("command", command.clone()),
            Self::File { path } => shown(StoreKind::File).put("path", path.display().to_string()),
            Self::Gcp(gcp) => gcp.show(shown(StoreKind::Gcp)),
            Self::Vault(vault) => vault.show(shown(StoreKind::Vault)),
        }
    }
}

fn read_command(section: &mut Section<'_>) -> Option<StoreConfig> {
    let words = "a list of texts: the program and its arguments";
    let command = section.list("command", words, |text| Some(text.to_owned()));
    if !section.had("command") {
        section.missing("command", words);
    }
    let command = command?;
    if command.first().is_none_or(String::is_empty) {
        section.conflict("command", "it has no program: expected its path or name");
        return None;
    }
    Some(StoreConfig::Exec { command })
}
