//! How long clients are without a writer: `kill -9` of the writer under load, a promotion 200 ms
//! later, and the time from the promotion to the first write that is acknowledged through Millpond,
//! with its default settings for failover. Ten times on a pair of MariaDB and one of MySQL; also the
//! same for a writer that hangs and one that turns read-only in place, and, for a planned switchover,
//! the longest pause that a client met. A client that loses its connection, a row that is lost or
//! there twice, ends the run.
//!
//! ```sh
//! tests/testbed/install servers && cargo bench --bench failover
//! ```
#![allow(clippy::disallowed_methods, reason = "a run's tasks end with it")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a run may panic")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints its figures")]
#![allow(dead_code, reason = "it uses a part of the tests' support")]

#[path = "../../tests/e2e/load.rs"]
mod load;
#[path = "../../tests/support/mod.rs"]
mod support;

use load::{Written, count, first_after, load as start_load, settings, table};
use std::time::Duration;
use support::flavor::Flavor;
use support::millpond::Millpond;
use support::pair::Pair;
use support::servers;
use tokio::time::sleep;

/// Of what there is a target for, and of the rest.
const RUNS: [usize; 2] = [10, 5];

fn main() {
    // `cargo test --benches` only wants to know that it starts.
    if std::env::args().any(|argument| argument == "--test") {
        return;
    }
    println!("| server | what | median ms | worst ms | acknowledged | unknown | refused |");
    println!("|---|---|---|---|---|---|---|");
    for flavor in servers::available() {
        let [most, fewer] = RUNS;
        let runs = (0..most).map(|_| run(flavor, killed)).collect();
        show(flavor, "kill -9: promotion to first write", runs);
        let runs = (0..fewer).map(|_| run(flavor, hung)).collect();
        show(flavor, "SIGSTOP: promotion to first write", runs);
        let runs = (0..fewer).map(|_| run(flavor, demoted)).collect();
        show(flavor, "read-only in place: promotion to first write", runs);
        let runs = (0..most).map(|_| run(flavor, switched)).collect();
        show(flavor, "switchover: a client's longest pause", runs);
    }
}

struct Run {
    time: Duration,
    written: Vec<Written>,
}

fn run(flavor: Flavor, what: impl AsyncFn(&Pair, &Millpond) -> Run) -> Run {
    let pair = Pair::start(flavor);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime");
    let run = runtime.block_on(async {
        let millpond = Millpond::start(&pair.writer, &settings(&pair));
        table(&pair, &millpond).await;
        what(&pair, &millpond).await
    });
    pair.writer.kill();
    pair.replica.kill();
    run
}

async fn killed(pair: &Pair, millpond: &Millpond) -> Run {
    failed(pair, millpond, async || pair.writer.kill()).await
}

async fn hung(pair: &Pair, millpond: &Millpond) -> Run {
    failed(pair, millpond, async || pair.writer.signal("STOP")).await
}

async fn demoted(pair: &Pair, millpond: &Millpond) -> Run {
    failed(pair, millpond, async || pair.demote().await).await
}

/// The writer fails under load, and its replica is promoted 200 ms later.
async fn failed(pair: &Pair, millpond: &Millpond, fails: impl AsyncFn()) -> Run {
    let load = start_load(millpond).await;
    sleep(Duration::from_millis(500)).await;
    fails().await;
    sleep(Duration::from_millis(200)).await;
    let promoted = pair.promote().await;
    // Who was waiting for an answer of one that hangs has been told by then.
    sleep(Duration::from_millis(1_500)).await;
    let written = load.check(&pair.replica).await;
    Run { time: first_after(&written, promoted), written }
}

async fn switched(pair: &Pair, millpond: &Millpond) -> Run {
    let load = start_load(millpond).await;
    sleep(Duration::from_millis(500)).await;
    let (status, why) = tokio::task::block_in_place(|| millpond.order("/switchover", &[]));
    assert_eq!(status, 200, "{why}");
    pair.demote().await;
    pair.promote().await;
    sleep(Duration::from_millis(700)).await;
    let written = load.check(&pair.replica).await;
    let time = written.iter().map(Written::longest_pause).max().unwrap_or_default();
    Run { time, written }
}

fn show(flavor: Flavor, what: &str, runs: Vec<Run>) {
    let mut times: Vec<_> = runs.iter().map(|run| run.time.as_secs_f64() * 1e3).collect();
    times.sort_by(f64::total_cmp);
    let all = |of: fn(&Written) -> usize| -> usize {
        runs.iter().map(|run| count(&run.written, of)).sum()
    };
    let median = (times[(times.len() - 1) / 2] + times[times.len() / 2]) / 2.0;
    println!(
        "| {flavor} | {what} | {median:.1} | {:.1} | {} | {} | {} |",
        times[times.len() - 1],
        all(|written| written.acknowledged.len()),
        all(|written| written.unknown.len()),
        all(|written| written.refused.len()),
    );
}
