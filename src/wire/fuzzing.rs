//! What the fuzz targets do with arbitrary bytes: every parser of this floor must come to an end
//! without a panic, whatever it is given.

use super::auth::{NONCE, encrypt_password};
use super::capability::Capabilities;
use super::command::{BulkExecute, ChangeUser, Execute, LongData, Query};
use super::exchange::{Exchange, ReplyShape, Step};
use super::greeting::{AuthSwitchRequest, Greeting, HandshakeResponse, attributes};
use super::proxy_header::{Parsed, ProxyHeader};
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
    if let Ok(greeting) = Greeting::parse(bytes) {
        let mut out = BytesMut::new();
        greeting.encode(&mut out);
        assert_eq!(Greeting::parse(&out), Ok(greeting), "what is written can be read");
    }
    if let Ok(response) = HandshakeResponse::parse(bytes) {
        let mut out = BytesMut::new();
        response.encode(&mut out);
        assert_eq!(HandshakeResponse::parse(&out), Ok(response), "what is written can be read");
        assert!(attributes(response.attributes).count() <= response.attributes.len());
    }
    let _ = AuthSwitchRequest::parse(bytes);
    let _ = encrypt_password(b"password", &[7; NONCE], bytes);
}

/// The header that a proxy puts in front of a connection.
pub fn proxy_header(bytes: &[u8]) {
    match ProxyHeader::parse(bytes) {
        Ok(Parsed::Whole { header, length }) => {
            let mut out = BytesMut::new();
            header.put_binary(&mut out);
            let again = Parsed::Whole { header, length: out.len() };
            assert_eq!(ProxyHeader::parse(&out), Ok(again), "what is written can be read");
            assert!(length <= bytes.len());
        }
        Ok(Parsed::Needs(length)) => assert!(length > bytes.len()),
        Err(_) => {}
    }
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
