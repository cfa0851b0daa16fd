use super::*;

fn after(of: &Parameters, given: &[Given]) -> Parameters {
    of.given(given, || None).unwrap_or_else(|| of.clone())
}

fn one(kind: Type) -> Parameters {
    Parameters::new([kind])
}

const DIGITS: Given = Given::Text(Reads::Digits);
const WORD: Given = Given::Text(Reads::Word);

#[test]
fn what_fits_changes_nothing() {
    for (of, given) in [
        (Type::Signed, Given::Signed),
        (Type::Signed, DIGITS),
        (Type::Signed, WORD),
        (Type::Signed, Given::Null),
        (Type::Decimal, Given::Unsigned),
        (Type::Double, Given::Decimal),
        (Type::DateTime, Given::Date),
        (Type::Text, WORD),
        (Type::Text, Given::Text(Reads::Other)),
    ] {
        assert_eq!(one(of).given(&[given], || None), None, "{of:?} {given:?}");
    }
}

#[test]
fn a_number_where_a_text_was_expected_stays_a_number() {
    let fresh = one(Type::Text);
    let settled = after(&fresh, &[Given::Signed]);
    assert!(settled.settled.is_some());
    // Such as 'abc', which now is 0.
    assert_eq!(after(&settled, &[WORD]), settled);
    assert_eq!(after(&settled, &[Given::Null]), settled);
    let double = after(&settled, &[Given::Double]);
    assert_ne!(double.settled, settled.settled);
    // How it came to that does not matter.
    assert_eq!(double.settled, after(&fresh, &[Given::Double]).settled);
    assert_eq!(after(&double, &[Given::Signed]), double);
}

#[test]
fn a_null_beside_a_change_is_what_its_context_makes_of_it() {
    let fresh = Parameters::new([Type::Text, Type::Text]);
    let half = after(&fresh, &[Given::Signed, Given::Null]);
    let whole = after(&half, &[Given::Signed, Given::Signed]);
    assert_ne!(whole.settled, half.settled);
    assert_ne!(whole.settled, after(&fresh, &[Given::Signed, Given::Signed]).settled);
    for given in [[Given::Signed, Given::Null], [Given::Null, Given::Signed]] {
        assert_eq!(after(&whole, &given), whole);
    }
}

#[test]
fn a_text_keeps_the_collation_of_the_number_that_it_followed() {
    let fresh = Parameters::new([Type::Text, Type::Text]);
    let there = after(&fresh, &[Given::Signed, WORD]);
    let back = after(&there, &[WORD, Given::Signed]);
    assert_ne!(back.settled, after(&fresh, &[WORD, Given::Signed]).settled);
}

#[test]
fn changes_without_end_are_forgotten() {
    let mut types = Parameters::new([Type::Unknown]);
    for round in 0..20 {
        let given = if round % 2 == 0 { Given::Signed } else { Given::Date };
        types = after(&types, &[given]);
        assert!(types.settled.as_ref().is_some_and(|steps| steps.len() <= MAX_STEPS));
    }
}

#[test]
fn what_a_text_reads_like() {
    for (text, reads) in [
        ("", Reads::Word),
        ("abc", Reads::Word),
        ("inf", Reads::Other),
        ("0", Reads::Digits),
        ("999999999999999999", Reads::Digits),
        ("9999999999999999999", Reads::Other),
        ("-7", Reads::Number),
        ("1.50", Reads::Number),
        ("1.", Reads::Other),
        ("1e3", Reads::Other),
        (" 1", Reads::Other),
        ("2020-02-03", Reads::Date),
        ("2020-02-31", Reads::Other),
        ("2020-02-03 23:59:59.123", Reads::DateTime),
        ("2020-02-03 24:00:00", Reads::Other),
        ("12:00:00", Reads::Other),
    ] {
        let bound = crate::wire::command::Bound {
            kind: 253,
            is_unsigned: false,
            value: Some(text.as_bytes()),
        };
        assert_eq!(Given::of(&bound), Given::Text(reads), "{text}");
    }
}

#[test]
fn a_vector_is_a_text_behind_the_first_change_beside_it() {
    let fresh = Parameters::new([Type::Signed, Type::Vector]);
    let bytes = Given::Binary(Reads::Other);
    assert_eq!(after(&fresh, &[Given::Signed, bytes]), fresh);
    let spoilt = after(&fresh, &[Given::Unsigned, bytes]);
    assert!(spoilt.settled.is_some() && fresh.are_once(&spoilt));
    // Which it stays, and is known for.
    assert_eq!(after(&spoilt, &[Given::Unsigned, bytes]), spoilt);
    assert!(!spoilt.are_once(&spoilt));
}
