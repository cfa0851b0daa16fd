//! Who is refused, for how long, and who is not.

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const LIMITS: LoginLimits = LoginLimits {
    per_address: Some(5),
    per_user: Some(3),
    window: Duration::from_secs(60),
    block_for: Duration::from_secs(30),
};

fn fail(throttle: &Throttle, times: usize, host: &str, user: &str, now: Instant) -> Option<Whose> {
    (0..times).filter_map(|_| throttle.failed(&LIMITS, host, user, now)).last()
}

fn whose(throttle: &Throttle, host: &str, user: &str, now: Instant) -> Option<Whose> {
    throttle.admits(&LIMITS, host, user, now).err().map(|blocked| blocked.whose)
}

#[tokio::test]
async fn a_user_is_refused_where_it_failed_and_nowhere_else() {
    let (throttle, now) = (Throttle::default(), Instant::now());
    assert_eq!(fail(&throttle, 2, "10.0.0.1", "app", now), None);
    assert_eq!(whose(&throttle, "10.0.0.1", "app", now), None);
    assert_eq!(fail(&throttle, 1, "10.0.0.1", "app", now), Some(Whose::User));
    let blocked = throttle.admits(&LIMITS, "10.0.0.1", "app", now + SECOND).unwrap_err();
    let length = LIMITS.block_for;
    let expected = Blocked { whose: Whose::User, failures: 3, length, remaining: length - SECOND };
    assert_eq!(blocked, expected);
    assert_eq!(whose(&throttle, "10.0.0.1", "other", now), None, "another user from there");
    assert_eq!(whose(&throttle, "10.0.0.2", "app", now), None, "the user from elsewhere");
    // An address that joins the guessing has had its one guess.
    fail(&throttle, 1, "10.0.0.2", "app", now);
    assert_eq!(whose(&throttle, "10.0.0.2", "app", now), Some(Whose::User));
    assert_eq!(whose(&throttle, "10.0.0.2", "app", now + length), None, "time lifts it");
    assert_eq!(fail(&throttle, 2, "10.0.0.2", "app", now + length), None, "and counts anew");
}

#[tokio::test]
async fn an_address_is_refused_except_for_those_known_there() {
    let (throttle, now) = (Throttle::default(), Instant::now());
    throttle.succeeded(&LIMITS, "10.0.0.1", "app", now);
    for (index, begins) in [None, None, None, None, Some(Whose::Address)].into_iter().enumerate() {
        let stranger = format!("stranger {index}");
        assert_eq!(fail(&throttle, 1, "10.0.0.1", &stranger, now), begins);
    }
    assert_eq!(whose(&throttle, "10.0.0.1", "other", now), Some(Whose::Address));
    assert_eq!(whose(&throttle, "10.0.0.1", "app", now), None);
    assert_eq!(throttle.greets(&LIMITS, "10.0.0.1", now), Ok(()), "it may be app");
    assert_eq!(whose(&throttle, "10.0.0.2", "other", now), None);
    for index in 0..5 {
        fail(&throttle, 1, "10.0.0.9", &format!("stranger {index}"), now);
    }
    let blocked = throttle.greets(&LIMITS, "10.0.0.9", now).unwrap_err();
    assert_eq!(blocked.whose, Whose::Address);
    assert_eq!(throttle.greets(&LIMITS, "10.0.0.9", now + LIMITS.block_for), Ok(()));
}

#[tokio::test]
async fn who_is_known_somewhere_may_err_there_while_others_guess() {
    let (throttle, now) = (Throttle::default(), Instant::now());
    throttle.succeeded(&LIMITS, "10.0.0.1", "app", now);
    fail(&throttle, 3, "10.0.0.9", "app", now);
    fail(&throttle, 2, "10.0.0.1", "app", now);
    assert_eq!(whose(&throttle, "10.0.0.1", "app", now), None);
    fail(&throttle, 1, "10.0.0.1", "app", now);
    assert_eq!(whose(&throttle, "10.0.0.1", "app", now), Some(Whose::User));
}

#[tokio::test]
async fn a_success_takes_back_ones_own_failures() {
    let (throttle, now) = (Throttle::default(), Instant::now());
    fail(&throttle, 2, "10.0.0.1", "app", now);
    throttle.succeeded(&LIMITS, "10.0.0.1", "app", now);
    assert_eq!(fail(&throttle, 2, "10.0.0.1", "app", now), None);
    assert_eq!(fail(&throttle, 1, "10.0.0.2", "app", now), Some(Whose::User), "others' stay");
}

#[tokio::test]
async fn failures_far_apart_are_no_attack() {
    let (throttle, mut now) = (Throttle::default(), Instant::now());
    for _ in 0..20 {
        assert_eq!(fail(&throttle, 2, "10.0.0.1", "app", now), None);
        now += LIMITS.window;
    }
}

#[tokio::test]
async fn no_limit_is_none() {
    let limits = LoginLimits { per_address: None, per_user: None, ..LIMITS };
    let (throttle, now) = (Throttle::default(), Instant::now());
    for _ in 0..1_000 {
        assert_eq!(throttle.failed(&limits, "10.0.0.1", "app", now), None);
    }
    assert_eq!(throttle.admits(&limits, "10.0.0.1", "app", now), Ok(()));
}

#[tokio::test]
async fn neighbours_in_ipv6_are_one_address() {
    let (throttle, now) = (Throttle::default(), Instant::now());
    for index in 0..5 {
        fail(&throttle, 1, &format!("2001:db8::{index}"), &format!("user {index}"), now);
    }
    assert_eq!(whose(&throttle, "2001:db8::ffff", "app", now), Some(Whose::Address));
    assert_eq!(whose(&throttle, "2001:db8:0:1::", "app", now), None);
}

#[tokio::test]
async fn what_is_remembered_is_bounded_and_blocks_stay_longest() {
    let (throttle, now) = (Throttle::default(), Instant::now());
    fail(&throttle, 3, "10.0.0.1", "app", now);
    for index in 0..3 * MOST {
        throttle.failed(&LIMITS, &format!("10.1.{}.{}", index >> 8, index & 255), "x", now);
        throttle.failed(&LIMITS, "10.2.0.1", &format!("user {index}"), now);
    }
    let counts = throttle.counts.lock();
    for map in [&counts.addresses, &counts.users, &counts.pairs] {
        assert!(map.len() <= MOST, "{}", map.len());
    }
    drop(counts);
    assert!(throttle.greets(&LIMITS, "10.2.0.1", now).is_err());
}
