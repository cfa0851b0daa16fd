//! `kind = "gcp"` and `kind = "azure"`.

use std::path::PathBuf;

use super::super::given::Choice;
use super::super::section::Section;
use super::super::show::Shown;
use super::super::url::HttpUrl;
use super::Kept;

/// How Google's Secret Manager is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcpConfig {
    /// The project of secrets that are named without one.
    pub project: String,
    /// A service account's key; without, the metadata server says who Millpond is.
    pub key_file: Option<PathBuf>,
    /// Whom to ask instead of Google's own address.
    pub endpoint: Option<HttpUrl>,
    /// The authorities to trust; the system's where there are none.
    pub ca: Option<PathBuf>,
}

impl GcpConfig {
    /// `None` after a refusal.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let project = section.text("project");
        if !section.had("project") {
            section.missing("project", "the project's id, such as \"shop-production\"");
        }
        let (key_file, endpoint) = (section.path("key_file"), section.setting("endpoint"));
        Some(Self { project: project?, key_file, endpoint, ca: section.path("ca") })
    }

    pub(super) fn show(&self, shown: Shown) -> Shown {
        let path = |path: &PathBuf| path.display().to_string();
        shown
            .put("project", self.project.as_str())
            .maybe("key_file", self.key_file.as_ref().map(path))
            .maybe("endpoint", self.endpoint.as_ref().map(HttpUrl::to_string))
            .maybe("ca", self.ca.as_ref().map(path))
    }
}

/// How an Azure Key Vault is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AzureConfig {
    /// The vault's address.
    pub address: HttpUrl,
    /// How Millpond says who it is.
    pub auth: AzureAuth,
    /// The authorities to trust; the system's where there are none.
    pub ca: Option<PathBuf>,
}

/// How Millpond says to Azure who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AzureAuth {
    /// As the machine, or the app, that it runs on.
    ManagedIdentity {
        /// Which identity, where there are several.
        client_id: Option<String>,
    },
    /// As a workload of a cluster whose tokens Azure takes; what is not given is in the
    /// environment.
    WorkloadIdentity {
        /// The tenant.
        tenant_id: Option<String>,
        /// The application.
        client_id: Option<String>,
    },
    /// As an application with a secret.
    ClientSecret {
        /// The tenant.
        tenant_id: String,
        /// The application.
        client_id: String,
        /// Its secret.
        secret: Kept,
    },
}

#[derive(Clone, Copy, PartialEq)]
enum Method {
    ManagedIdentity,
    WorkloadIdentity,
    ClientSecret,
}

impl Choice for Method {
    const EXPECTED: &'static str = r#""managed_identity", "workload_identity" or "client_secret""#;
    const NAMES: &'static [(&'static str, Self)] = &[
        ("managed_identity", Self::ManagedIdentity),
        ("workload_identity", Self::WorkloadIdentity),
        ("client_secret", Self::ClientSecret),
    ];
}

impl AzureConfig {
    /// `None` after a refusal.
    pub(super) fn read(section: &mut Section<'_>) -> Option<Self> {
        let address = section.setting("address");
        if !section.had("address") {
            section.missing("address", "the vault's address: \"https://NAME.vault.azure.net\"");
        }
        let ca = section.path("ca");
        let method = section.setting::<Method>("auth");
        let method = if section.had("auth") { method } else { Some(Method::ManagedIdentity) };
        let (tenant_id, client_id) = (section.text("tenant_id"), section.text("client_id"));
        let secret = Kept::read(section, "client_secret", "client_secret_file");
        let method = method?;
        let unfit = match method {
            Method::ManagedIdentity => &["tenant_id", "client_secret", "client_secret_file"][..],
            Method::WorkloadIdentity => &["client_secret", "client_secret_file"],
            Method::ClientSecret => &[],
        };
        for key in unfit {
            if section.had(key) {
                section.conflict(key, format!("not for auth = \"{}\"", method.name()));
            }
        }
        let auth = match method {
            Method::ManagedIdentity => AzureAuth::ManagedIdentity { client_id },
            Method::WorkloadIdentity => AzureAuth::WorkloadIdentity { tenant_id, client_id },
            Method::ClientSecret => {
                let had = ["client_secret", "client_secret_file"].map(|key| section.had(key));
                if had == [false, false] {
                    let right = "the path of a file with the secret, or `client_secret`";
                    section.missing("client_secret_file", right);
                }
                for key in ["tenant_id", "client_id"] {
                    if !section.had(key) {
                        section.missing(key, "the id that Azure shows for it");
                    }
                }
                let (tenant_id, client_id) = (tenant_id?, client_id?);
                AzureAuth::ClientSecret { tenant_id, client_id, secret: secret? }
            }
        };
        Some(Self { address: address?, auth, ca })
    }

    pub(super) fn show(&self, shown: Shown) -> Shown {
        let shown = shown
            .put("address", self.address.to_string())
            .maybe("ca", self.ca.as_ref().map(|path| path.display().to_string()));
        match &self.auth {
            AzureAuth::ManagedIdentity { client_id } => {
                shown.put("auth", "managed_identity").maybe("client_id", client_id.clone())
            }
            AzureAuth::WorkloadIdentity { tenant_id, client_id } => shown
                .put("auth", "workload_identity")
                .maybe("tenant_id", tenant_id.clone())
                .maybe("client_id", client_id.clone()),
            AzureAuth::ClientSecret { tenant_id, client_id, secret } => {
                let shown = shown.put("auth", "client_secret").put("tenant_id", tenant_id.as_str());
                let shown = shown.put("client_id", client_id.as_str());
                secret.show(shown, "client_secret", "client_secret_file")
            }
        }
    }
}
