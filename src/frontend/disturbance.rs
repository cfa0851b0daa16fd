//! What the clients notice of servers that fail, or would have noticed: held, run again, told.

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry,
};
use tokio::time::Instant;

/// The metrics of all services.
#[derive(Debug, Clone)]
pub struct DisturbancesFamily {
    outcomes: IntCounterVec,
    moves: IntCounterVec,
    holding: IntGaugeVec,
    hold_seconds: HistogramVec,
    resume_seconds: HistogramVec,
}

/// The metrics of one service.
#[derive(Debug, Clone)]
pub struct Disturbances {
    /// Sessions that found their server given up.
    pub fenced: IntCounter,
    /// Statements run again.
    pub retried: IntCounter,
    /// Statements refused that provably did not run.
    pub not_run: IntCounter,
    /// Statements under way that are rolled back with their transaction.
    pub undone: IntCounter,
    /// Statements whose outcome is unknown.
    pub unknown: IntCounter,
    /// Sessions that read on at another reader.
    pub caught_up: IntCounter,
    /// Times that a reader did not have in time what a session may have read elsewhere.
    pub behind: IntCounter,
    /// From a statement that found the servers asleep to its connection.
    pub resume_seconds: Histogram,
    holding: IntGauge,
    hold_seconds: Histogram,
}

impl DisturbancesFamily {
    /// Registers them.
    ///
    /// # Errors
    ///
    /// When one of the names is registered already.
    pub fn register(registry: &Registry) -> prometheus::Result<Self> {
        let outcomes = IntCounterVec::new(
            Opts::new(
                "millpond_disturbed_statements_total",
                "Statements that met a failing server: fenced (its server had been given up), \
                 retried (run again), not_run (refused, provably without effect), undone (under \
                 way, and rolled back with its transaction), unknown (whether it took effect is \
                 unknown).",
            ),
            &["service", "outcome"],
        )?;
        let moves = IntCounterVec::new(
            Opts::new(
                "millpond_reader_moves_total",
                "Sessions of the reader port that came to another reader: caught_up (it had all \
                 that they may have read), behind (it did not in time).",
            ),
            &["service", "outcome"],
        )?;
        let holding = IntGaugeVec::new(
            Opts::new("millpond_held_statements", "Statements that wait for a server."),
            &["service"],
        )?;
        let buckets =
            vec![0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0];
        let hold_seconds = HistogramVec::new(
            HistogramOpts::new(
                "millpond_hold_seconds",
                "How long statements waited for a server to be confirmed.",
            )
            .buckets(buckets.clone()),
            &["service"],
        )?;
        let resume_seconds = HistogramVec::new(
            HistogramOpts::new(
                "millpond_resume_seconds",
                "From a statement that found the servers asleep to its connection.",
            )
            .buckets(buckets),
            &["service"],
        )?;
        registry.register(Box::new(resume_seconds.clone()))?;
        registry.register(Box::new(outcomes.clone()))?;
        registry.register(Box::new(moves.clone()))?;
        registry.register(Box::new(holding.clone()))?;
        registry.register(Box::new(hold_seconds.clone()))?;
        Ok(Self { outcomes, moves, holding, hold_seconds, resume_seconds })
    }

    /// Those of one service.
    pub fn of(&self, service: &str) -> Disturbances {
        let moves = |outcome| self.moves.with_label_values(&[service, outcome]);
        let outcome = |outcome| self.outcomes.with_label_values(&[service, outcome]);
        Disturbances {
            fenced: outcome("fenced"),
            retried: outcome("retried"),
            not_run: outcome("not_run"),
            undone: outcome("undone"),
            unknown: outcome("unknown"),
            caught_up: moves("caught_up"),
            behind: moves("behind"),
            holding: self.holding.with_label_values(&[service]),
            hold_seconds: self.hold_seconds.with_label_values(&[service]),
            resume_seconds: self.resume_seconds.with_label_values(&[service]),
        }
    }
}

impl Disturbances {
    /// A statement begins to wait for a server; `None` when `most` do already.
    pub fn hold(&self, most: usize) -> Option<Held<'_>> {
        if usize::try_from(self.holding.get()).is_ok_and(|holding| holding >= most) {
            return None;
        }
        self.holding.inc();
        Some(Held { disturbances: self, since: Instant::now() })
    }
}

/// A statement that waits for a server.
#[derive(Debug)]
pub struct Held<'a> {
    disturbances: &'a Disturbances,
    since: Instant,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.disturbances.holding.dec();
        self.disturbances.hold_seconds.observe(self.since.elapsed().as_secs_f64());
    }
}
