use super::*;
use crate::config::Endpoint;
use proptest::prelude::*;
use std::time::Duration;

const A: ServerId = ServerId(0);
const B: ServerId = ServerId(1);
const WRITER: Observation = Observation::Answered(Answer { claim: Claim::Writer, lag: None });
const READER: Observation = Observation::Answered(Answer { claim: Claim::Reader, lag: None });
const FAILED: Observation = Observation::Failed;
const DOUBTED: Observation = Observation::Doubted;

fn member(number: u16) -> Member {
    Member::at(Endpoint { host: "db".into(), port: 1000 + number, zone: None })
}

fn of(count: u16) -> Verdict {
    Verdict::new((0..count).map(|n| (ServerId(n.into()), member(n))), Lone::IsWriter)
}

/// Observes one after another, a millisecond apart.
fn seen(verdict: &mut Verdict, observations: &[(ServerId, Observation)]) -> Option<Transition> {
    let start = Instant::now();
    let mut last = None;
    for (at, (server, observation)) in (0..).zip(observations) {
        let now = start + Duration::from_millis(at);
        last = verdict.observe(*server, *observation, now);
    }
    last
}

/// A pair of which A was found to be the writer.
fn pair() -> Verdict {
    let mut verdict = of(2);
    assert_eq!(verdict.snapshot().writer, Writer::Awaited);
    let found = seen(&mut verdict, &[(A, WRITER), (B, READER)]);
    assert_eq!(found, Some(Transition { writer: Writer::Confirmed(A), reason: Reason::Found }));
    verdict
}

fn after(observations: &[(ServerId, Observation)]) -> (Writer, u64) {
    let mut verdict = pair();
    seen(&mut verdict, observations);
    (verdict.writer, verdict.epoch)
}

#[test]
fn a_lone_server_is_the_writer_whatever_it_says() {
    let mut verdict = of(1);
    for observation in [READER, FAILED, DOUBTED, WRITER] {
        assert_eq!(seen(&mut verdict, &[(A, observation)]), None);
        assert_eq!(verdict.writer, Writer::Confirmed(A));
    }
}

#[test]
fn nobody_is_the_writer_before_all_were_asked() {
    let mut verdict = of(2);
    assert_eq!(seen(&mut verdict, &[(A, WRITER)]), None);
    assert!(seen(&mut verdict, &[(B, FAILED)]).is_some());
    assert_eq!(verdict.writer, Writer::Confirmed(A));
}

#[test]
fn a_promoted_server_follows_a_dead_or_demoted_one() {
    assert_eq!(after(&[(A, FAILED)]), (Writer::Awaited, 1));
    assert_eq!(after(&[(A, FAILED), (B, READER), (B, WRITER)]), (Writer::Confirmed(B), 2));
    assert_eq!(after(&[(A, READER)]), (Writer::Awaited, 1));
    assert_eq!(after(&[(A, READER), (B, WRITER)]), (Writer::Confirmed(B), 2));
    // The other is seen first.
    assert_eq!(after(&[(B, WRITER), (A, FAILED)]), (Writer::Confirmed(B), 2));
}

#[test]
fn a_writer_in_doubt_stays_until_it_has_been_asked() {
    assert_eq!(after(&[(A, DOUBTED)]), (Writer::Confirmed(A), 1));
    assert_eq!(after(&[(A, DOUBTED), (B, WRITER)]), (Writer::Confirmed(A), 1));
    assert_eq!(after(&[(A, DOUBTED), (B, WRITER), (A, WRITER)]), (Writer::Confirmed(A), 1));
    assert_eq!(after(&[(A, DOUBTED), (B, WRITER), (A, FAILED)]), (Writer::Confirmed(B), 2));
}

#[test]
fn a_writer_that_was_only_away_is_the_same_epoch() {
    assert_eq!(after(&[(A, FAILED), (A, WRITER)]), (Writer::Confirmed(A), 1));
}

#[test]
fn the_former_writer_is_not_believed_when_it_comes_back() {
    let failover = [(A, FAILED), (B, WRITER), (A, WRITER)];
    assert_eq!(after(&failover), (Writer::Confirmed(B), 2));
    let mut verdict = pair();
    seen(&mut verdict, &failover);
    assert!(verdict.is_contested());
    assert_eq!(verdict.snapshot().server(A).map(|s| s.role), Some(Role::Unknown));
    // Not even when the new one dies: what it has is older.
    seen(&mut verdict, &[(B, FAILED)]);
    assert_eq!(verdict.writer, Writer::Awaited);
    // As a reader it may be promoted again.
    seen(&mut verdict, &[(A, READER), (A, WRITER)]);
    assert_eq!((verdict.writer, verdict.epoch), (Writer::Confirmed(A), 3));
}

#[test]
fn of_two_that_claim_only_the_newer_is_believed() {
    let mut verdict = of(3);
    let c = ServerId(2);
    seen(&mut verdict, &[(A, WRITER), (B, READER), (c, READER)]);
    seen(&mut verdict, &[(B, WRITER), (c, WRITER), (A, FAILED)]);
    assert_eq!(verdict.writer, Writer::Confirmed(c));
    assert_eq!(verdict.snapshot().server(B).map(|s| s.role), Some(Role::Unknown));
}

#[test]
fn a_name_moves_its_writer_even_while_the_former_one_claims_to_write() {
    let mut verdict = Verdict::new([(A, member(0))], Lone::IsAsked);
    assert!(seen(&mut verdict, &[(A, READER)]).is_none(), "a name is not trusted");
    assert!(seen(&mut verdict, &[(A, WRITER)]).is_some());
    // Before the new one is known to write, the former one is kept.
    verdict.join(B, member(1));
    verdict.unlist(A);
    assert_eq!(verdict.sweep(), []);
    assert_eq!(seen(&mut verdict, &[(B, READER)]), None);
    let moved = seen(&mut verdict, &[(B, WRITER)]);
    assert_eq!(moved, Some(Transition { writer: Writer::Confirmed(B), reason: Reason::Moved }));
    assert_eq!((verdict.sweep(), verdict.epoch), (vec![A], 2));
}

#[test]
fn a_newcomer_follows_a_writer_that_is_gone_from_the_list() {
    let mut verdict = Verdict::new([(A, member(0))], Lone::IsAsked);
    seen(&mut verdict, &[(A, WRITER), (A, FAILED)]);
    verdict.join(B, member(1));
    verdict.unlist(A);
    assert_eq!(verdict.sweep(), [A]);
    let promoted = seen(&mut verdict, &[(B, WRITER)]);
    assert_eq!(promoted.map(|p| p.reason), Some(Reason::Promoted));
}

#[test]
fn of_two_addresses_that_both_claim_the_former_writer_stays() {
    let mut verdict = Verdict::new([(A, member(0))], Lone::IsAsked);
    seen(&mut verdict, &[(A, WRITER)]);
    verdict.join(B, member(1));
    assert_eq!(seen(&mut verdict, &[(B, WRITER), (A, WRITER)]), None);
    assert_eq!(verdict.writer, Writer::Confirmed(A));
}

const fn says(claim: Claim) -> Observation {
    Observation::Answered(Answer { claim, lag: None })
}

#[test]
fn of_many_that_are_able_one_is_chosen_and_kept() {
    let mut verdict = of(3);
    let c = ServerId(2);
    let able = |rank| says(Claim::Able(rank));
    seen(&mut verdict, &[(A, able(2)), (B, able(0)), (c, able(1))]);
    assert_eq!(verdict.writer, Writer::Confirmed(B), "the lowest");
    seen(&mut verdict, &[(B, able(2)), (A, able(0))]);
    assert_eq!(verdict.writer, Writer::Confirmed(B), "no change without need");
    let roles: Vec<_> = verdict.snapshot().servers.iter().map(|s| s.role).collect();
    assert_eq!(roles, [Role::Reader, Role::Writer, Role::Reader]);
    seen(&mut verdict, &[(B, FAILED)]);
    assert_eq!(verdict.writer, Writer::Confirmed(A));
    seen(&mut verdict, &[(A, says(Claim::Unfit)), (c, says(Claim::Unfit))]);
    assert_eq!(verdict.writer, Writer::Awaited, "no quorum, no writer");
    // One that claims to be the only one goes before those that could.
    seen(&mut verdict, &[(A, able(0)), (c, WRITER)]);
    assert_eq!(verdict.writer, Writer::Confirmed(c));
}

#[test]
fn an_elected_one_is_believed_though_it_was_away() {
    let elected = says(Claim::Elected);
    let mut verdict = of(3);
    seen(&mut verdict, &[(A, elected), (B, FAILED), (ServerId(2), READER)]);
    seen(&mut verdict, &[(A, DOUBTED), (B, elected), (A, FAILED)]);
    assert_eq!(verdict.writer, Writer::Confirmed(B));
    // The former one wakes up and has not heard of it yet.
    seen(&mut verdict, &[(A, elected)]);
    assert_eq!(verdict.writer, Writer::Confirmed(B));
}

fn observation() -> impl Strategy<Value = Observation> {
    prop_oneof![Just(WRITER), Just(READER), Just(FAILED), Just(DOUBTED)]
}

proptest! {
    #[test]
    fn an_epoch_has_one_writer_and_it_never_said_that_it_reads(
        observations in prop::collection::vec((0..4u32, observation()), 1..200),
    ) {
        let mut verdict = of(4);
        let mut last_words = [None; 4];
        let mut writers = std::collections::HashMap::new();
        let start = Instant::now();
        for (at, (server, observation)) in (0..).zip(observations) {
            let epoch = verdict.epoch;
            verdict.observe(ServerId(server), observation, start + Duration::from_millis(at));
            if let Observation::Answered(answer) = observation {
                last_words[server as usize] = Some(answer.claim);
            }
            prop_assert!(verdict.epoch >= epoch);
            if let Writer::Confirmed(id) = verdict.writer {
                prop_assert_eq!(*writers.entry(verdict.epoch).or_insert(id), id);
                prop_assert_eq!(last_words[id.0 as usize], Some(Claim::Writer));
                let state = verdict.snapshot().server(id).cloned();
                prop_assert!(state.is_some_and(|s| s.health != Health::Down));
            }
            let named = verdict.snapshot().servers;
            let writers = named.iter().filter(|s| s.role == Role::Writer).count();
            prop_assert_eq!(writers, usize::from(verdict.writer != Writer::Awaited));
        }
    }

    #[test]
    fn peace_leads_to_the_one_that_claims(
        observations in prop::collection::vec((0..3u32, observation()), 0..100),
    ) {
        let mut verdict = of(3);
        let start = Instant::now();
        for (at, (server, observation)) in (0..).zip(&observations) {
            verdict.observe(ServerId(*server), *observation, start + Duration::from_millis(at));
        }
        // After all faults, everybody reads, and then one is promoted.
        let later = start + Duration::from_secs(60);
        for id in [0, 1, 2] {
            verdict.observe(ServerId(id), READER, later);
        }
        verdict.observe(ServerId(1), WRITER, later);
        prop_assert_eq!(verdict.writer, Writer::Confirmed(ServerId(1)));
    }
}

#[test]
fn of_those_that_could_write_one_that_comes_and_goes_comes_last() {
    let able = |rank| says(Claim::Able(rank));
    let damped = RecoverySettings {
        flap_limit: 2,
        flap_window: Duration::from_secs(60),
        flap_hold: Duration::from_secs(10),
        slow_start: None,
    };
    let c = ServerId(2);
    let flapping = [
        (A, able(0)),
        (B, able(1)),
        (c, able(2)),
        (B, FAILED),
        (B, able(1)),
        (B, FAILED),
        (B, able(1)),
        (A, FAILED),
    ];
    for (settings, next) in [(RecoverySettings::default(), B), (damped.clone(), c)] {
        let mut verdict = of(3).recovering(settings);
        seen(&mut verdict, &flapping);
        assert_eq!(verdict.writer, Writer::Confirmed(next));
    }
    // There is nobody else.
    let mut verdict = of(3).recovering(damped);
    seen(&mut verdict, &flapping);
    seen(&mut verdict, &[(c, FAILED)]);
    assert_eq!(verdict.writer, Writer::Confirmed(B));
    assert_eq!(verdict.snapshot().server(B).map(|s| s.share), Some(Share::NONE));
}

proptest! {
    /// Holding out is for readers: with or without it, the same server writes at every moment.
    #[test]
    fn the_only_writer_is_never_held_out(
        steps in proptest::collection::vec((0_u32..3, 0_usize..4), 1..200),
    ) {
        let settings = RecoverySettings {
            flap_limit: 1,
            flap_window: Duration::from_secs(3_600),
            flap_hold: Duration::from_secs(600),
            slow_start: Some(Duration::from_secs(60)),
        };
        let (mut plain, mut damped) = (of(3), of(3).recovering(settings));
        let start = Instant::now();
        for (at, (server, observation)) in (0_u64..).zip(steps) {
            let observation = [WRITER, READER, FAILED, DOUBTED][observation];
            let now = start + Duration::from_millis(at);
            let one = plain.observe(ServerId(server), observation, now);
            let other = damped.observe(ServerId(server), observation, now);
            prop_assert_eq!(one, other);
        }
        prop_assert_eq!((plain.writer, plain.epoch), (damped.writer, damped.epoch));
    }
}
