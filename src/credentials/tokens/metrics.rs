//! What is counted about tokens.

use prometheus::{IntCounterVec, Opts, Registry};

use super::TokenError;

/// What came of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It proves its user.
    Accepted,
    /// It is not as a token has to be, or not valid.
    Invalid,
    /// It is somebody else's.
    NotTheUsers,
    /// The provider could not be asked, or its answer was of no use.
    Unverified,
}

impl Verdict {
    /// The label.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Invalid => "invalid",
            Self::NotTheUsers => "not_the_users",
            Self::Unverified => "unverified",
        }
    }

    pub(super) fn of(error: &TokenError) -> Self {
        match error {
            TokenError::Form(_) | TokenError::Invalid(_) => Self::Invalid,
            TokenError::Unreachable(_) | TokenError::Answer(_) => Self::Unverified,
            TokenError::NotTheUsers(_) => Self::NotTheUsers,
        }
    }
}

/// The metrics of all providers.
#[derive(Debug, Clone)]
pub struct TokenMetrics {
    tokens: IntCounterVec,
}

impl TokenMetrics {
    /// Registers them.
    ///
    /// # Errors
    ///
    /// When the name is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let tokens = IntCounterVec::new(
            Opts::new(
                "millpond_tokens_total",
                "Tokens that clients came with, by who vouches for them and what came of them.",
            ),
            &["provider", "verdict"],
        )?;
        registry.register(Box::new(tokens.clone()))?;
        Ok(Self { tokens })
    }

    pub(super) fn verdict(&self, provider: &str, verdict: Verdict) {
        self.tokens.with_label_values(&[provider, verdict.name()]).inc();
    }
}
