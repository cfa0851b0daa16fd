use super::super::frame::put_packet;
use super::*;
use bytes::BytesMut;
use proptest::prelude::*;

/// A result set of two columns and two rows, and an OK behind it.
fn two_results() -> Vec<u8> {
    let mut out = BytesMut::new();
    let mut sequence = 1;
    for payload in [
        &[2][..],
        b"\x03def one",
        b"\x03def two",
        b"\x01a\x01b",
        b"\xfb\x01d",
        &[0xFE, 0, 0, 0x0A, 0, 0, 0],
        &[0, 1, 7, 2, 0, 0, 0],
    ] {
        put_packet(&mut out, &mut sequence, payload);
    }
    out.to_vec()
}

/// What comes out when the bytes arrive in these pieces: controls, and the bytes that passed.
fn run(shape: ReplyShape, bytes: &[u8], cuts: &[usize]) -> (Vec<Control>, Vec<u8>, bool) {
    let mut exchange = Exchange::new(shape);
    let (mut controls, mut passed) = (Vec::new(), Vec::new());
    let mut input = Vec::new();
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut at = 0;
    for end in ends {
        input.extend_from_slice(&bytes[at..end]);
        at = end;
        loop {
            match exchange.step(&mut input) {
                Ok(Step::Done) => return (controls, passed, true),
                Ok(Step::NeedMore(n)) => {
                    assert!(n > input.len(), "more is needed than there is");
                    break;
                }
                Ok(Step::Pass(n)) => {
                    assert!(n > 0);
                    passed.extend(input.drain(..n));
                }
                Ok(Step::Control { kind, length }) => {
                    controls.push(kind);
                    input.drain(..length);
                }
                Err(_) => return (controls, passed, false),
            }
        }
    }
    (controls, passed, false)
}

#[test]
fn a_reply_ends_with_its_last_result() {
    let (controls, passed, done) = run(ReplyShape::Query, &two_results(), &[]);
    assert!(done);
    assert_eq!(
        controls,
        [
            Control::ColumnCount,
            Control::ColumnsEnd,
            Control::RowsBegin,
            Control::ResultEnd,
            Control::Ok,
        ]
    );
    assert_eq!(passed.len(), 2 * 4 + 2 * 8 + 2 * 4 + 4 + 3);
}

#[test]
fn an_error_among_the_rows_ends_the_reply() {
    let mut out = BytesMut::new();
    let mut sequence = 1;
    for payload in [&[1][..], b"\x03def one", b"\x01a", b"\xFF\x28\x04#HY000no"] {
        put_packet(&mut out, &mut sequence, payload);
    }
    let (controls, _, done) = run(ReplyShape::Query, &out, &[]);
    assert!(done);
    assert_eq!(controls.last(), Some(&Control::Err));
}

#[test]
fn an_inserted_packet_shifts_the_numbers_behind_it() {
    let mut bytes = two_results();
    let mut exchange = Exchange::new(ReplyShape::Query);
    let mut at = 0;
    loop {
        match exchange.step(&mut bytes[at..]).expect("well-formed") {
            Step::Control { kind: Control::ColumnsEnd, .. } => exchange.shift_sequence(1),
            Step::Control { length, .. } => at += length,
            Step::Pass(n) => at += n,
            Step::Done => break,
            Step::NeedMore(_) => panic!("the reply is whole"),
        }
    }
    let mut numbers = Vec::new();
    let mut rest = &bytes[..];
    while let Some(header) = Header::parse(rest) {
        numbers.push(header.sequence);
        rest = &rest[HEADER + header.length..];
    }
    assert_eq!(numbers, [1, 2, 3, 5, 6, 7, 8]);
}

#[test]
fn a_row_over_16_mib_is_passed_without_a_look_at_its_second_frame() {
    let mut out = BytesMut::new();
    let mut sequence = 1;
    put_packet(&mut out, &mut sequence, &[1]);
    put_packet(&mut out, &mut sequence, b"\x03def one");
    // The second frame begins like an end of rows.
    let mut row = vec![0xFE; super::super::frame::MAX_PAYLOAD + 9];
    row[0] = 0xFD;
    put_packet(&mut out, &mut sequence, &row);
    put_packet(&mut out, &mut sequence, &[0xFE, 0, 0, 2, 0, 0, 0]);
    let (controls, _, done) = run(ReplyShape::Query, &out, &[40, 5_000_000]);
    assert!(done);
    assert_eq!(controls.last(), Some(&Control::ResultEnd));
}

proptest! {
    #[test]
    fn where_the_bytes_are_cut_does_not_matter(cuts in prop::collection::vec(any::<usize>(), 0..20)) {
        let bytes = two_results();
        prop_assert_eq!(run(ReplyShape::Query, &bytes, &cuts), run(ReplyShape::Query, &bytes, &[]));
    }

    #[test]
    fn no_bytes_make_it_fail(bytes in prop::collection::vec(any::<u8>(), 0..200), shape in 0..8_u8) {
        let shape = match shape {
            0 => ReplyShape::Execute,
            1 => ReplyShape::Fetch,
            2 => ReplyShape::FieldList,
            3 => ReplyShape::None,
            4 => ReplyShape::Ok,
            5 => ReplyShape::Prepare,
            6 => ReplyShape::Query,
            _ => ReplyShape::Statistics,
        };
        // Numbers that continue the exchange, so that it gets further than the first header.
        let mut bytes = bytes;
        let mut at = 0;
        let mut sequence = 1;
        while at + 4 <= bytes.len() {
            bytes[at + 1] = 0;
            bytes[at + 2] = 0;
            bytes[at + 3] = sequence;
            sequence += 1;
            at += 4 + usize::from(bytes[at]);
        }
        let _ = run(shape, &bytes, &[]);
    }

    #[test]
    fn trackers_of_any_bytes_come_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let count = super::super::reply::Trackers::new(&bytes).count();
        prop_assert!(count <= bytes.len() + 1);
    }
}
