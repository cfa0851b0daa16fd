//! `kind = "vault"`.

use std::path::PathBuf;

use super::super::given::Choice;
use super::super::section::Section;
use super::super::show::{HIDDEN, Shown};
use super::super::url::HttpUrl;
use super::Kept;

/// How HashiCorp Vault or OpenBao is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultConfig {
    /// Where it is.
    pub address: HttpUrl,
    /// Which of its engines has the secrets.
    pub engine: VaultEngine,
    /// Where that engine is mounted.
    pub mount: String,
    /// The namespace, where there are any.
    pub namespace: Option<String>,
    /// The authorities to trust; the system's where there are none.
    pub ca: Option<PathBuf>,
    /// How Millpond says who it is.
    pub auth: VaultAuth,
}

/// An engine of Vault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VaultEngine {
    /// Versioned secrets (KV version 2); a secret's name is its path.
    Kv,
    /// Users that Vault makes (dynamic roles); a secret's name is the role.
    Database,
    /// Users whose passwords Vault changes (static roles); a secret's name is the role.
    DatabaseStatic,
}

impl Choice for VaultEngine {
    const EXPECTED: &'static str = r#""kv", "database" or "database_static""#;
    const NAMES: &'static [(&'static str, Self)] = &[
        ("kv", Self::Kv),
        ("database", Self::Database),
        ("database_static", Self::DatabaseStatic),
    ];
}

/// How Millpond says to Vault who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VaultAuth {
    /// With a token.
    Token(Kept),
    /// As a machine with an identity and a secret.
    AppRole {
        /// Where the method is mounted, below `auth/`.
        mount: String,
        /// The role's identity.
        role_id: String,
        /// Its secret; a role may do without.
        secret_id: Option<Kept>,
    },
    /// As a service account of Kubernetes.
    Kubernetes {
        /// Where the method is mounted, below `auth/`.
        mount: String,
        /// The role.
        role: String,
        /// The service account's token.
        jwt_file: PathBuf,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Method {
    Token,
    AppRole,
    Kubernetes,
}

impl Choice for Method {
    const EXPECTED: &'static str = r#""token", "approle" or "kubernetes""#;
    const NAMES: &'static [(&'static str, Self)] =
        &[("token", Self::Token), ("approle", Self::AppRole), ("kubernetes", Self::Kubernetes)];
}

impl Method {
    fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Token => &["token", "token_file"],
            Self::AppRole => &["auth_mount", "role_id", "secret_id", "secret_id_file"],
            Self::Kubernetes => &["auth_mount", "role", "jwt_file"],
        }
    }
}

/// Where Kubernetes puts the token of a pod's service account.
const JWT: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";

impl VaultConfig {
    /// `None` after a refusal.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let address = section.setting("address");
        if !section.had("address") {
            section.missing("address", "Vault's address, such as \"https://vault.internal:8200\"");
        }
        let engine = section.setting("engine").unwrap_or(VaultEngine::Kv);
        let own = match engine {
            VaultEngine::Kv => "secret",
            VaultEngine::Database | VaultEngine::DatabaseStatic => "database",
        };
        let mount = section.text("mount").unwrap_or_else(|| own.to_owned());
        let namespace = section.text("namespace");
        let ca = section.path("ca");
        let auth = read_auth(section);
        Some(Self { address: address?, engine, mount, namespace, ca, auth: auth? })
    }

    pub(super) fn show(&self, shown: Shown) -> Shown {
        let path = |path: &PathBuf| path.display().to_string();
        let shown = shown
            .put("address", self.address.to_string())
            .put("engine", self.engine.name())
            .put("mount", self.mount.as_str())
            .maybe("namespace", self.namespace.clone())
            .maybe("ca", self.ca.as_ref().map(path));
        match &self.auth {
            VaultAuth::Token(kept) => kept.show(shown.put("auth", "token"), "token", "token_file"),
            VaultAuth::AppRole { mount, role_id, secret_id } => {
                let shown = shown.put("auth", "approle").put("auth_mount", mount.as_str());
                let shown = shown.put("role_id", role_id.as_str());
                match secret_id {
                    Some(kept) => kept.show(shown, "secret_id", "secret_id_file"),
                    None => shown,
                }
            }
            VaultAuth::Kubernetes { mount, role, jwt_file } => shown
                .put("auth", "kubernetes")
                .put("auth_mount", mount.as_str())
                .put("role", role.as_str())
                .put("jwt_file", path(jwt_file)),
        }
    }
}

impl Kept {
    pub(super) fn show(&self, shown: Shown, here: &str, file: &str) -> Shown {
        match self {
            Self::Here(_) => shown.put(here, HIDDEN),
            Self::File(path) => shown.put(file, path.display().to_string()),
        }
    }
}

fn read_auth(section: &mut Section<'_>) -> Option<VaultAuth> {
    let method = section.setting::<Method>("auth");
    let token = Kept::read(section, "token", "token_file");
    let secret_id = Kept::read(section, "secret_id", "secret_id_file");
    let role_id = section.text("role_id");
    let role = section.text("role");
    let jwt_file = section.path("jwt_file");
    let mount = section.text("auth_mount");
    if !section.had("auth") {
        section.missing("auth", Method::EXPECTED);
    }
    let method = method?;
    for (_, other) in Method::NAMES {
        for key in other.keys() {
            if section.had(key) && !method.keys().contains(key) {
                let why =
                    format!("not for auth = \"{}\", but for \"{}\"", method.name(), other.name());
                section.conflict(key, why);
            }
        }
    }
    let mount = mount.unwrap_or_else(|| method.name().to_owned());
    match method {
        Method::Token => {
            if token.is_none() && !section.had("token") && !section.had("token_file") {
                section.missing("token_file", "the path of a file with a token, or `token`");
            }
            Some(VaultAuth::Token(token?))
        }
        Method::AppRole => {
            if !section.had("role_id") {
                section.missing("role_id", "the role's identity");
            }
            Some(VaultAuth::AppRole { mount, role_id: role_id?, secret_id })
        }
        Method::Kubernetes => {
            if !section.had("role") {
                section.missing("role", "the name of a role of Vault's Kubernetes method");
            }
            let jwt_file = jwt_file.unwrap_or_else(|| JWT.into());
            Some(VaultAuth::Kubernetes { mount, role: role?, jwt_file })
        }
    }
}
