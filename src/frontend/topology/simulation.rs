//! A service in miniature under a paused clock: the real supervisor, the real topology with its
//! fences, scripted servers, and sessions that do nothing but go where they are sent. Each seed is
//! one schedule of faults; what must hold under all of them is asserted as it runs.
//!
//! Some hundred seeds are part of the tests; `MILLPOND_SEEDS=5000` runs more.

mod house;
mod world;

use self::house::service;
use self::world::{Doing, World, crawl};
use super::*;
use crate::failover::orders::Order;
use crate::runtime::{Law, Tasks};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const SERVERS: u32 = 3;
const SESSIONS: usize = 6;
/// After the last fault, a writer is confirmed within this time: a probe that hangs is given up,
/// and the next one asks.
const CONVERGED: Duration = Duration::from_millis(1_000);
/// After that, every session has run a statement within this time.
const SERVED: Duration = Duration::from_millis(500);

/// Runs transactions for ever, wherever it is sent; what it may ask is what `borrow` asks.
async fn session(service: Arc<Service>, world: Arc<World>, number: usize) {
    loop {
        let version = service.topology.version();
        world.seen(&service.topology.snapshot());
        let Route::To(server) = service.route(Access::Write, ServerId(0)) else {
            service.topology.changed(version).await;
            continue;
        };
        let user: Arc<str> = "app".into();
        let pool = service.pool(&PoolKey {
            server,
            user,
            found_rows: false,
            local_files: false,
            extended_metadata: false,
        });
        let pool = pool.unwrap();
        for _ in 0..fastrand::u32(1..6) {
            if pool.is_closed() || !statement(&service, &world, &pool).await {
                break;
            }
            world.run.lock()[number] += 1;
            sleep(Duration::from_micros(fastrand::u64(0..30_000))).await;
        }
        sleep(Duration::from_micros(fastrand::u64(0..5_000))).await;
    }
}

/// Sends one statement; whether it was answered.
async fn statement(service: &Service, world: &World, pool: &Pool) -> bool {
    let server = pool.key().server;
    let fenced = world.fenced.lock().get(&server).copied();
    assert!(
        fenced.is_none_or(|since| since >= Instant::now()),
        "a statement went to {server:?}, which is fenced, seed {}",
        world.seed
    );
    match world.doing(server) {
        Doing::Writes => return true,
        Doing::Crawls => {
            tokio::select! {
                biased;
                () = pool.closed() => {}
                () = sleep(crawl()) => return world.doing(server) == Doing::Crawls,
            }
        }
        Doing::Reads => service.topology.report(server, Evidence::ReadOnly),
        Doing::Gone => service.topology.report(server, Evidence::ConnectionLost),
        Doing::Hangs => {
            tokio::select! {
                biased;
                () = pool.closed() => {}
                () = world.gone(server) => {
                    service.topology.report(server, Evidence::ConnectionLost);
                }
                // It answers after all, or its client has had enough.
                () = sleep(Duration::from_secs(2)) => {}
            }
        }
    }
    // As before a statement is run again.
    sleep(Duration::from_millis(5)).await;
    false
}

/// One fault, or the end of one, or an order.
async fn trouble(service: &Service, world: &World) {
    let server = fastrand::u32(0..SERVERS);
    match fastrand::u32(0..15) {
        0 | 1 => world.set(server, Doing::Gone),
        2 => world.set(server, Doing::Hangs),
        3 | 4 => world.set(server, Doing::Reads),
        // Also beside one that writes: a split brain.
        5..8 => world.set(server, Doing::Writes),
        8 => {
            // A promotion as it should be.
            for other in 0..SERVERS {
                if other != server && world.doing(ServerId(other)) == Doing::Writes {
                    world.set(other, Doing::Reads);
                }
            }
            world.set(server, Doing::Writes);
        }
        9 => service.topology.report(ServerId(server), Evidence::Timeout),
        10 => {
            let order = [Order::PauseAll, Order::Drain(ServerId(server))][fastrand::usize(0..2)];
            let limit = Some(Duration::from_millis(fastrand::u64(1..2_000)));
            service.topology.command(Command::Give(order, limit)).await.unwrap();
        }
        11 => world.set(server, Doing::Crawls),
        12 => world.panics.store(fastrand::u32(1..6), Relaxed),
        13 => {
            // Nobody is there to say that it was followed.
            let _ = service.topology.command(Command::Panic).await;
        }
        _ => {
            let writer = service.topology.snapshot().writer().map(|server| server.id);
            if let Some(writer) = writer {
                let limit = Some(Duration::from_secs(3));
                let order = Command::Give(Order::Succeed(writer), limit);
                // It may be another one by now.
                let _ = service.topology.command(order).await;
            }
        }
    }
}

/// All that was wrong is mended; gives the writer that there is to be.
async fn peace(service: &Service, world: &World) -> ServerId {
    service.topology.command(Command::LiftAll(None)).await.unwrap();
    world.panics.store(0, Relaxed);
    let writer = fastrand::u32(0..SERVERS);
    // Long enough for each to be heard as a reader.
    for server in 0..SERVERS {
        world.set(server, Doing::Reads);
    }
    sleep(Duration::from_millis(1_800)).await;
    world.set(writer, Doing::Writes);
    ServerId(writer)
}

async fn schedule(seed: u64) {
    fastrand::seed(seed);
    let world = World::new(seed);
    let tasks = Tasks::new();
    let (service, supervisor) = service(&world, &tasks);
    let supervision = supervisor.start(&tasks);
    let keep = service.clone();
    let fencing = tasks.keep("fencing", move || keep.clone().keep_topology());
    let sessions: Vec<_> = (0..SESSIONS)
        .map(|number| {
            let session = session(service.clone(), world.clone(), number);
            tasks.spawn("session", Law::Mortal, session)
        })
        .collect();
    for _ in 0..fastrand::u32(5..40) {
        sleep(Duration::from_millis(fastrand::u64(0..800))).await;
        trouble(&service, &world).await;
    }
    let writer = peace(&service, &world).await;
    sleep(CONVERGED).await;
    let snapshot = service.topology.snapshot();
    assert_eq!(snapshot.writer, Writer::Confirmed(writer), "seed {seed}: {snapshot:?}");
    let before = *world.run.lock();
    sleep(SERVED).await;
    let after = *world.run.lock();
    let forgotten = (0..SESSIONS).find(|session| after[*session] == before[*session]);
    assert_eq!(forgotten, None, "a session waits for ever, seed {seed}");
    assert!(!supervision.is_finished() && !fencing.is_finished(), "seed {seed}");
    for session in sessions {
        assert!(!session.is_finished(), "a session failed, seed {seed}");
        session.abort();
    }
    tasks.drain(Duration::from_secs(5)).await.ok();
}

#[test]
fn no_schedule_of_faults_breaks_what_must_hold() {
    let seeds = std::env::var("MILLPOND_SEEDS").ok().and_then(|seeds| seeds.parse().ok());
    for seed in 0..seeds.unwrap_or(300) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(schedule(seed));
    }
}
