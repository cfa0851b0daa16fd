//! `kind = "aws_secrets_manager"` and `kind = "aws_parameter_store"`.

use std::path::PathBuf;

use super::super::given::Choice;
use super::super::section::Section;
use super::super::show::Shown;
use super::super::url::HttpUrl;

/// How a store of AWS is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsConfig {
    /// Through what.
    pub via: AwsVia,
    /// The region; where there is none, the one that the SDK finds.
    pub region: Option<String>,
    /// The profile of AWS's own files; where there is none, the one that the SDK finds.
    pub profile: Option<String>,
    /// Whom to ask instead of AWS's own address.
    pub endpoint: Option<HttpUrl>,
    /// The authorities to trust; the system's where there are none.
    pub ca: Option<PathBuf>,
}

/// Through what a store of AWS is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AwsVia {
    /// AWS itself.
    Api,
    /// The cache of AWS's extension for Lambda, on this machine.
    Extension,
}

impl Choice for AwsVia {
    const EXPECTED: &'static str = r#""api" or "extension""#;
    const NAMES: &'static [(&'static str, Self)] =
        &[("api", Self::Api), ("extension", Self::Extension)];
}

impl AwsConfig {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let via = section.setting("via").unwrap_or(AwsVia::Api);
        let region = section.text("region");
        let profile = section.text("profile");
        if via == AwsVia::Extension {
            for key in ["region", "profile"] {
                if section.had(key) {
                    section.conflict(key, "the extension has its own: leave it out");
                }
            }
        }
        Self { via, region, profile, endpoint: section.setting("endpoint"), ca: section.path("ca") }
    }

    pub(super) fn show(&self, shown: Shown) -> Shown {
        shown
            .put("via", self.via.name())
            .maybe("region", self.region.clone())
            .maybe("profile", self.profile.clone())
            .maybe("endpoint", self.endpoint.as_ref().map(HttpUrl::to_string))
            .maybe("ca", self.ca.as_ref().map(|path| path.display().to_string()))
    }
}
