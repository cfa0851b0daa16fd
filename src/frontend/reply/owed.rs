//! Trackers that a server sent with an answer to Millpond's own question, and that are the client's:
//! MySQL keeps what a failing statement has changed until its next OK (measured), and Millpond asks
//! whether a transaction goes on.

use crate::wire::reply::{Tracker, Trackers, put_tracker};
use bytes::{BufMut, BytesMut};
use std::mem::discriminant;

/// The trackers of an OK that comes after `owed` ones: a server tells each thing once, as it is now.
pub fn with_owed(owed: &[u8], now: &[u8]) -> BytesMut {
    let mut all = BytesMut::with_capacity(owed.len() + now.len());
    let told_now = |owed: &Tracker<'_>| {
        Trackers::new(now).flatten().any(|now| match (owed, now) {
            (Tracker::SystemVariable { name: owed, .. }, Tracker::SystemVariable { name, .. }) => {
                *owed == name
            }
            (owed, now) => discriminant(owed) == discriminant(&now),
        })
    };
    for tracker in Trackers::new(owed).flatten().filter(|owed| !told_now(owed)) {
        put_tracker(&mut all, &tracker);
    }
    all.put_slice(now);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trackers(trackers: &[Tracker<'_>]) -> BytesMut {
        let mut out = BytesMut::new();
        trackers.iter().for_each(|tracker| put_tracker(&mut out, tracker));
        out
    }

    #[test]
    fn each_thing_is_told_once_as_it_is_now() {
        let set =
            |name: &'static [u8], value: &'static [u8]| Tracker::SystemVariable { name, value };
        let owed = trackers(&[set(b"a", b"1"), set(b"b", b"1"), Tracker::Schema(b"x")]);
        let now = trackers(&[set(b"b", b"2"), Tracker::Schema(b"y")]);
        let told = with_owed(&owed, &now);
        let told: Vec<_> = Trackers::new(&told).map(Result::unwrap).collect();
        assert_eq!(told, [set(b"a", b"1"), set(b"b", b"2"), Tracker::Schema(b"y")]);
    }
}
