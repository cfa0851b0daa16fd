//! The shortest part of some sessions that still shows a difference.

/// Leaves out line after line, of all sessions, as long as `differs` says that there is a
/// difference without it, too. An empty session is left out whole.
pub(crate) fn shrunk<T: Copy>(
    mut sessions: Vec<Vec<T>>,
    differs: impl Fn(&[Vec<T>]) -> bool,
) -> Vec<Vec<T>> {
    let lines = |sessions: &[Vec<T>]| sessions.iter().map(Vec::len).sum::<usize>();
    let mut piece = lines(&sessions).next_power_of_two() / 2;
    while piece > 0 {
        let before = lines(&sessions);
        let mut at = 0;
        while at < lines(&sessions) {
            let shorter = without(&sessions, at, piece);
            if differs(&shorter) {
                sessions = shorter;
            } else {
                at += piece;
            }
        }
        if piece > 1 || lines(&sessions) == before {
            piece /= 2;
        }
    }
    sessions
}

/// Leaves out `count` lines from the one that is at `from`, counted over all sessions.
fn without<T: Copy>(sessions: &[Vec<T>], from: usize, count: usize) -> Vec<Vec<T>> {
    let mut at = 0;
    let left = |session: &Vec<T>| -> Vec<T> {
        let mut left = session.clone();
        left.retain(|_| {
            at += 1;
            !(from + 1..=from + count).contains(&at)
        });
        left
    };
    sessions.iter().map(left).filter(|session| !session.is_empty()).collect()
}

#[test]
fn what_makes_no_difference_is_left_out() {
    let sessions = vec![vec![1, 2, 3], vec![4, 5], vec![6, 7, 8, 9]];
    let differs = |sessions: &[Vec<i32>]| {
        [3, 8].iter().all(|wanted| sessions.iter().any(|session| session.contains(wanted)))
    };
    assert_eq!(shrunk(sessions, differs), [vec![3], vec![8]]);
}
