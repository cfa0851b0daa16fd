//! What concerns the process as a whole: events, log, runtime.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use tracing_subscriber::filter::EnvFilter;

use super::given::{Choice, Given, Setting};
use super::secret::Secret;
use super::section::Section;
use super::show::{HIDDEN, Shown};
use super::url::HttpUrl;

impl Setting for SocketAddr {
    const EXPECTED: &'static str =
        "an IP address and a port, such as \"127.0.0.1:3306\" or \"[::1]:3306\"";

    fn read(given: Given<'_>) -> Option<Self> {
        given.text()?.parse().ok()
    }
}

/// `[events]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventsConfig {
    /// How many are kept in memory.
    pub keep: usize,
    /// Where they are posted, too.
    pub webhook: Option<WebhookConfig>,
}

/// A web service that is told of events. Its address may be a secret: it is shown without the path.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookConfig {
    /// Its address.
    pub url: HttpUrl,
    /// What goes with each request as `Authorization`.
    pub authorization: Option<Secret>,
    /// The authorities that its certificate may come from; `None`: the system's.
    pub ca: Option<PathBuf>,
}

impl fmt::Debug for WebhookConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookConfig")
            .field("authority", &self.url.authority())
            .field("authorization", &self.authorization)
            .field("ca", &self.ca)
            .finish_non_exhaustive()
    }
}

/// What a header's value may be, to follow "expected".
const HEADER: &str = "text of printable ASCII characters, such as \"Bearer …\"";

impl EventsConfig {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let keep = section.number("keep", 1..=100_000).and_then(|n| usize::try_from(n).ok());
        let url = section.confidential("webhook", HttpUrl::EXPECTED, |text| text.parse().ok());
        let authorization = section.confidential("webhook_authorization", HEADER, |text| {
            let plain = |byte: u8| (b' '..=b'~').contains(&byte);
            (!text.is_empty() && text.bytes().all(plain)).then(|| Secret::new(text))
        });
        let ca = section.path("webhook_ca");
        for key in ["webhook_authorization", "webhook_ca"] {
            if section.had(key) && !section.had("webhook") {
                section.conflict(key, "there is no webhook: expected `webhook` beside it");
            }
        }
        let webhook = url.map(|url| WebhookConfig { url, authorization, ca });
        Self { keep: keep.unwrap_or(1_000), webhook }
    }

    pub(super) fn show(&self) -> Shown {
        let webhook = self.webhook.as_ref();
        let authorization = webhook.and_then(|webhook| webhook.authorization.as_ref());
        let ca = webhook.and_then(|webhook| webhook.ca.as_ref());
        Shown::new()
            .put("keep", i64::try_from(self.keep).unwrap_or(i64::MAX))
            .maybe("webhook", webhook.map(|_| HIDDEN.to_owned()))
            .maybe("webhook_authorization", authorization.map(|_| HIDDEN.to_owned()))
            .maybe("webhook_ca", ca.map(|ca| ca.display().to_string()))
    }
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogConfig {
    /// How a line looks.
    pub format: LogFormat,
    /// What is logged.
    pub level: LogLevel,
    /// Statements that took long.
    pub slow: SlowConfig,
}

/// How a line of the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl Choice for LogFormat {
    const EXPECTED: &'static str = r#""text" or "json""#;
    const NAMES: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}

/// A level (`info`), or levels by module (`info,millpond::pool=debug`), known to be readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLevel(String);

impl LogLevel {
    /// The directives for `tracing_subscriber`'s filter.
    pub fn directives(&self) -> &str {
        &self.0
    }
}

/// Text that says no level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {}", LogLevel::EXPECTED)]
pub struct NotALevel;

impl FromStr for LogLevel {
    type Err = NotALevel;

    fn from_str(text: &str) -> Result<Self, NotALevel> {
        // A misspelt level parses as the name of a module to be logged in full.
        let levels = ["error", "warn", "info", "debug", "trace", "off"];
        let known = |part: &str| part.contains(['=', ':']) || levels.contains(&part);
        let right = text.split(',').all(known) && EnvFilter::try_new(text).is_ok();
        if right { Ok(Self(text.to_owned())) } else { Err(NotALevel) }
    }
}

impl Setting for LogLevel {
    const EXPECTED: &'static str =
        "error, warn, info, debug or trace, by module if need be: \"info,millpond::pool=debug\"";

    fn read(given: Given<'_>) -> Option<Self> {
        given.text()?.parse().ok()
    }
}

/// How a statement that took long is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlowText {
    /// As it is, with all that users put into it.
    Full,
    /// With `?` in place of literals.
    Masked,
}

impl Choice for SlowText {
    const EXPECTED: &'static str = r#""masked" or "full""#;
    const NAMES: &'static [(&'static str, Self)] =
        &[("masked", Self::Masked), ("full", Self::Full)];
}

/// Which statements are logged because they took long, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlowConfig {
    /// From how long on, waiting included; `None`: never.
    pub from: Option<Duration>,
    /// How.
    pub text: SlowText,
}

/// The bounds of what may be called slow.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(86_400);

impl LogConfig {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        Self {
            format: section.setting("format").unwrap_or(LogFormat::Text),
            level: section.setting("level").unwrap_or_else(|| LogLevel("info".to_owned())),
            slow: SlowConfig {
                from: section.limit("slow_statement", SHORTEST..=LONGEST).unwrap_or(None),
                text: section.setting("slow_statement_text").unwrap_or(SlowText::Masked),
            },
        }
    }

    pub(super) fn show(&self) -> Shown {
        Shown::new()
            .put("format", self.format.name())
            .put("level", self.level.directives())
            .duration("slow_statement", self.slow.from.unwrap_or_default())
            .put("slow_statement_text", self.slow.text.name())
    }
}

/// `[runtime]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuntimeConfig {
    /// Threads that serve clients; 0: as many as there are processors.
    pub threads: usize,
    /// Threads on which logins are computed; 0: one for every two processors.
    pub login_threads: usize,
    /// How long transactions may go on after SIGTERM before they are cut. Zero: not at all.
    pub drain_timeout: Duration,
}

impl RuntimeConfig {
    pub(super) fn read(section: &mut Section<'_>) -> Self {
        let longest = Duration::from_secs(86_400);
        let mut threads = |name| {
            let number = section.number(name, 0..=1_024);
            number.and_then(|n| usize::try_from(n).ok()).unwrap_or(0)
        };
        Self {
            threads: threads("threads"),
            login_threads: threads("login_threads"),
            drain_timeout: section
                .duration("drain_timeout", Duration::ZERO..=longest)
                .unwrap_or(Duration::from_secs(30)),
        }
    }

    pub(super) fn show(&self) -> Shown {
        Shown::new()
            .put("threads", i64::try_from(self.threads).unwrap_or(i64::MAX))
            .put("login_threads", i64::try_from(self.login_threads).unwrap_or(i64::MAX))
            .duration("drain_timeout", self.drain_timeout)
    }
}
