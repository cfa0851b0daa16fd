#![allow(clippy::disallowed_methods, reason = "a test's tasks end with it")]

use super::*;
use std::time::Duration;

fn room(granted: Option<Granted>) -> Permit {
    match granted {
        Some(Granted::Room(permit)) => permit,
        other => panic!("no room: {other:?}"),
    }
}

fn free(budget: &Budget) -> usize {
    budget.state.lock().free
}

#[tokio::test]
async fn a_budget_that_became_smaller_takes_back_what_was_out() {
    let budget = Budget::new(3);
    let pool = budget.enrol();
    let one = budget.acquire(pool).await;
    let two = budget.acquire(pool).await;
    let three = budget.acquire(pool).await;
    budget.resize(1);
    drop((one, two));
    assert_eq!(free(&budget), 0, "one is still out");
    drop(three);
    assert_eq!(free(&budget), 1);
    let out = budget.acquire(pool).await;
    budget.resize(4);
    assert_eq!(free(&budget), 3);
    drop(out);
    assert_eq!(free(&budget), 4);
}

#[tokio::test]
async fn a_budget_that_grows_again_forgives_first() {
    let budget = Budget::new(2);
    let pool = budget.enrol();
    let out = (budget.acquire(pool).await, budget.acquire(pool).await);
    budget.resize(1);
    budget.resize(2);
    assert_eq!(free(&budget), 0);
    drop(out);
    assert_eq!(free(&budget), 2);
}

#[tokio::test]
async fn room_goes_to_who_asked_first_and_is_still_there() {
    let budget = Budget::new(1);
    let (one, other) = (budget.enrol(), budget.enrol());
    let out = budget.acquire(one).await;
    let mut waiters = Vec::new();
    for member in [other, one, other] {
        let budget = budget.clone();
        let waiter = tokio::spawn(async move { room(budget.acquire(member).await) });
        tokio::task::yield_now().await;
        waiters.push(waiter);
    }
    assert!(budget.has_waiters());
    // The first one goes away.
    waiters.remove(0).abort();
    tokio::task::yield_now().await;
    drop(out);
    let second = waiters.remove(0).await.expect("room");
    assert!(!waiters[0].is_finished());
    drop(second);
    drop(waiters.remove(0).await.expect("room"));
    assert!(!budget.has_waiters());
    assert_eq!(free(&budget), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_closed_only_for_who_has_waited_longer_in_another_pool() {
    let budget = Budget::new(1);
    let (one, other) = (budget.enrol(), budget.enrol());
    let taken = || -> Slot { panic!("nobody of the same pool waits") };
    let _out = budget.acquire(one).await;
    assert_eq!(budget.offer(one, None, taken), Verdict::Keep, "nobody waits");
    let before = Instant::now();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let waiter = tokio::spawn({
        let budget = budget.clone();
        async move { budget.acquire(other).await }
    });
    tokio::task::yield_now().await;
    assert_eq!(budget.offer(one, Some(before), taken), Verdict::Keep, "its own came first");
    assert_eq!(budget.offer(one, None, taken), Verdict::Close);
    assert_eq!(budget.offer(one, None, taken), Verdict::Keep, "one is being closed already");
    waiter.abort();
}

#[tokio::test]
async fn a_larger_budget_serves_those_who_wait() {
    let budget = Budget::new(1);
    let pool = budget.enrol();
    let _out = budget.acquire(pool).await;
    let waiter = tokio::spawn({
        let budget = budget.clone();
        async move { room(budget.acquire(pool).await) }
    });
    tokio::task::yield_now().await;
    budget.resize(2);
    waiter.await.expect("room");
    // Without a step for each connection that there could be.
    budget.resize(UNLIMITED);
    assert!(!budget.is_spent());
    budget.resize(1);
    assert!(budget.is_spent());
}
