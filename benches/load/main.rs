//! Lays load on a server or a proxy, and prints what it saw as one line of `name=value` pairs.
//!
//! A raw client on the library's own protocol code: cheap enough that the load does not measure
//! itself.
#![allow(clippy::print_stdout, clippy::print_stderr, clippy::disallowed_methods, missing_docs)]

mod client;

use client::{Client, Failure, Target};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Barrier;
use tokio::time::{Instant, timeout};

const USAGE: &str = "usage: load MODE HOST:PORT USER PASSWORD DATABASE TLS(on|off) CLIENTS SECONDS\n\
    modes: flood (all clients at once, each connects, selects, leaves; SECONDS is the limit)\n\
    churn (CLIENTS at a time, connect, select, leave, again) | select | prepared | large | idle";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((mode, target, clients, seconds)) = parse(&arguments) else {
        eprintln!("{USAGE}");
        return ExitCode::from(64);
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let Ok(runtime) = runtime else { return ExitCode::FAILURE };
    let report = runtime.block_on(run(&mode, target, clients, Duration::from_secs_f64(seconds)));
    match report {
        Some(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        None => {
            eprintln!("{USAGE}");
            ExitCode::from(64)
        }
    }
}

fn parse(arguments: &[String]) -> Option<(String, Target, usize, f64)> {
    let [mode, address, user, password, database, tls, clients, seconds] = arguments else {
        return None;
    };
    let target = Target::new(address, user, password, database, tls == "on")?;
    Some((mode.clone(), target, clients.parse().ok()?, seconds.parse().ok()?))
}

/// What one client saw.
#[derive(Default)]
struct Seen {
    done: u64,
    latencies: Vec<Duration>,
    failures: BTreeMap<Failure, u64>,
}

impl Seen {
    fn add(&mut self, began: Instant, result: Result<(), Failure>) {
        match result {
            Ok(()) => {
                self.done += 1;
                self.latencies.push(began.elapsed());
            }
            Err(failure) => *self.failures.entry(failure).or_default() += 1,
        }
    }
}

async fn run(mode: &str, target: Target, clients: usize, limit: Duration) -> Option<String> {
    let target = Arc::new(target);
    let barrier = Arc::new(Barrier::new(clients + 1));
    let mut tasks = Vec::new();
    for number in 0..clients {
        let (target, barrier) = (target.clone(), barrier.clone());
        let task = match mode {
            "flood" => tokio::spawn(flood(target, barrier, limit)),
            "churn" => tokio::spawn(churn(target, barrier, limit)),
            "select" | "prepared" | "large" => {
                tokio::spawn(statements(target, barrier, limit, mode.to_owned(), number))
            }
            "idle" => tokio::spawn(idle(target, barrier, limit)),
            _ => return None,
        };
        tasks.push(task);
    }
    barrier.wait().await;
    if mode == "idle" {
        println!("connected={clients}");
    }
    let began = Instant::now();
    let mut all = Seen::default();
    for task in tasks {
        let Ok(seen) = task.await else { continue };
        all.done += seen.done;
        all.latencies.extend(seen.latencies);
        for (failure, count) in seen.failures {
            *all.failures.entry(failure).or_default() += count;
        }
    }
    Some(report(all, began.elapsed()))
}

fn report(mut seen: Seen, took: Duration) -> String {
    seen.latencies.sort_unstable();
    let at = |part: f64| {
        let index = (seen.latencies.len() as f64 * part) as usize;
        seen.latencies.get(index.min(seen.latencies.len().saturating_sub(1)))
    };
    let milliseconds =
        |latency: Option<&Duration>| latency.map_or(0.0, |l| l.as_secs_f64() * 1000.0);
    let failed: u64 = seen.failures.values().sum();
    let refused = seen.failures.get(&Failure::Refused).copied().unwrap_or(0);
    format!(
        "done={} failed={failed} refused={refused} seconds={:.3} rate={:.1} p50={:.3} p99={:.3} max={:.3}",
        seen.done,
        took.as_secs_f64(),
        seen.done as f64 / took.as_secs_f64(),
        milliseconds(at(0.5)),
        milliseconds(at(0.99)),
        milliseconds(seen.latencies.last()),
    )
}

/// One function: connects, asks, leaves.
async fn once(target: &Target) -> Result<(), Failure> {
    let mut client = Client::connect(target).await?;
    client.query(b"SELECT 42").await?;
    client.quit().await;
    Ok(())
}

async fn flood(target: Arc<Target>, barrier: Arc<Barrier>, limit: Duration) -> Seen {
    barrier.wait().await;
    let mut seen = Seen::default();
    let began = Instant::now();
    let result = timeout(limit, once(&target)).await.unwrap_or(Err(Failure::Timeout));
    seen.add(began, result);
    seen
}

async fn churn(target: Arc<Target>, barrier: Arc<Barrier>, limit: Duration) -> Seen {
    barrier.wait().await;
    let mut seen = Seen::default();
    let end = Instant::now() + limit;
    while Instant::now() < end {
        let began = Instant::now();
        seen.add(began, once(&target).await);
    }
    seen
}

async fn statements(
    target: Arc<Target>,
    barrier: Arc<Barrier>,
    limit: Duration,
    mode: String,
    number: usize,
) -> Seen {
    let mut seen = Seen::default();
    let mut client = match Client::connect(&target).await {
        Ok(client) => client,
        Err(failure) => {
            seen.failures.insert(failure, 1);
            barrier.wait().await;
            return seen;
        }
    };
    let statement = match mode.as_str() {
        "prepared" => client.prepare(b"SELECT c FROM millpond_load WHERE id=?").await.ok(),
        _ => None,
    };
    barrier.wait().await;
    let end = Instant::now() + limit;
    let mut id = number as u64;
    while Instant::now() < end {
        id = id.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let row = (id >> 33) % 1000 + 1;
        let began = Instant::now();
        let result = match (&*mode, statement) {
            ("prepared", Some(statement)) => client.execute(statement, row).await,
            ("large", _) => client.query(b"SELECT c FROM millpond_large").await,
            _ => {
                let sql = format!("SELECT c FROM millpond_load WHERE id={row}");
                client.query(sql.as_bytes()).await
            }
        };
        let failed = result.is_err();
        seen.add(began, result);
        if failed {
            break;
        }
    }
    client.quit().await;
    seen
}

async fn idle(target: Arc<Target>, barrier: Arc<Barrier>, limit: Duration) -> Seen {
    let mut seen = Seen::default();
    let began = Instant::now();
    let connected = Client::connect(&target).await;
    barrier.wait().await;
    match connected {
        Ok(mut client) => {
            tokio::time::sleep(limit).await;
            // Still there, after all that time.
            seen.add(began, client.query(b"SELECT 42").await);
            client.quit().await;
        }
        Err(failure) => seen.add(began, Err(failure)),
    }
    seen
}
