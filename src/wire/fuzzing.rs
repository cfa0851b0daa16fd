//! What the fuzz targets do with arbitrary bytes: every parser of this floor must come to an end
//! without a panic, whatever it is given.

use super::capability::Capabilities;
use super::command::{BulkExecute, ChangeUser, Execute, LongData, Query};
use super::exchange::{Exchange, ReplyShape, Step};
use super::greeting::{AuthSwitch, Greeting, HandshakeResponse};
use super::reply::{ErrPacket, OkPacket, Trackers};
use super::resultset::ColumnDefinition;
use bytes::BytesMut;

/// Commands of a client.
pub fn command(bytes: &[u8]) {
    let Some((&first, payload)) = bytes.split_first() else { return };
    for capabilities in [Capabilities::default(), Capabilities::QUERY_ATTRIBUTES] {
        let _ = Query::parse(payload, capabilities);
        let parameters = u16::from(first);
        if let Ok(execute) = Execute::parse(payload, parameters, capabilities) {
            let mut out = BytesMut::new();
            let known = vec![0; usize::from(parameters) * 2];
            execute.encode(1, parameters, &known, Capabilities::QUERY_ATTRIBUTES, &mut out);
            let again = Execute::parse(&out[1..], parameters, Capabilities::QUERY_ATTRIBUTES);
            assert!(again.is_ok(), "what is written can be read");
        }
        let _ = BulkExecute::parse(payload, parameters);
        let _ = ChangeUser::parse(payload, capabilities | Capabilities::PLUGIN_AUTH);
    }
    let _ = LongData::parse(payload);
}

/// Packets of a handshake, from either side.
pub fn handshake(bytes: &[u8]) {
    let _ = Greeting::parse(bytes);
    let _ = HandshakeResponse::parse(bytes);
    let _ = AuthSwitch::parse(bytes);
}

/// Replies of a server.
pub fn reply(bytes: &[u8]) {
    let Some((&first, rest)) = bytes.split_first() else { return };
    let shape = match first % 7 {
        0 => ReplyShape::Execute,
        1 => ReplyShape::Fetch,
        2 => ReplyShape::FieldList,
        3 => ReplyShape::Ok,
        4 => ReplyShape::Prepare,
        5 => ReplyShape::Query,
        _ => ReplyShape::Statistics,
    };
    let mut input = rest.to_vec();
    let mut at = 0;
    let mut exchange = Exchange::new(shape);
    while let Ok(step) = exchange.step(&mut input[at..]) {
        match step {
            Step::Done | Step::NeedMore(_) => break,
            Step::Pass(n) => at += n,
            Step::Control { length, .. } => at += length,
        }
    }
    let _ = OkPacket::parse(rest, Capabilities::SESSION_TRACK);
    let _ = ErrPacket::parse(rest);
    let _ = ColumnDefinition::parse(rest);
    assert!(Trackers::new(rest).count() <= rest.len() + 1);
}
