//! The codec against `mysql_common`, which other people wrote for other purposes: what one side
//! writes, the other must read, and find the same in it.

use super::capability::{Capabilities, Status};
use super::command::{BulkExecute, ChangeUser, Execute, LongData};
use super::cursor::Cursor;
use super::exchange::{Control, Exchange, ReplyShape, Step};
use super::frame::{HEADER, Header, put_lenenc_bytes, put_packet};
use super::reply::{ErrPacket, OkKind, OkPacket, Tracker, Trackers, put_tracker};
use super::resultset::{ColumnDefinition, ResultEnd, put_result_set};
use bytes::{BufMut, BytesMut};
use mysql_common::constants::{
    CapabilityFlags, ColumnType, SessionStateType, StmtBulkExecuteFlags,
};
use mysql_common::io::ParseBuf;
use mysql_common::packets as theirs;
use mysql_common::packets::session_state_change as change;
use mysql_common::proto::{MyDeserialize, MySerialize};
use mysql_common::value::Value;
use proptest::prelude::*;

/// The status flags that both sides know, but the one that tells of trackers.
const KNOWN_STATUS: u16 = 0x3FFB;

/// What a client of today has, as both sides call it.
const TRACKED: Capabilities = Capabilities::SESSION_TRACK.with(Capabilities::DEPRECATE_EOF);

fn their(capabilities: Capabilities) -> CapabilityFlags {
    CapabilityFlags::from_bits_truncate(capabilities.0 as u32)
}

fn read_ok<'a, K: theirs::OkPacketKind>(
    payload: &'a [u8],
    capabilities: Capabilities,
) -> theirs::OkPacket<'a> {
    let mut buffer = ParseBuf(payload);
    theirs::OkPacketDeserializer::<K>::deserialize(their(capabilities), &mut buffer)
        .unwrap()
        .into_inner()
}

fn serialized(packet: &impl MySerialize) -> Vec<u8> {
    let mut raw = Vec::new();
    packet.serialize(&mut raw);
    raw
}

/// Bytes of any length that a length-encoded string may have in three of its forms.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        4 => proptest::collection::vec(any::<u8>(), 0..40),
        1 => proptest::collection::vec(any::<u8>(), 245..260),
        1 => proptest::collection::vec(any::<u8>(), 65_530..65_540),
    ]
}

/// Integers of all encoded lengths.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![0..300_u64, 65_500..65_600_u64, (1 << 24) - 9..(1 << 24) + 9_u64, any::<u64>()]
}

/// A tracker in their words and in ours.
#[derive(Debug, Clone)]
enum Report {
    Variable(Vec<u8>, Vec<u8>),
    Schema(Vec<u8>),
    Gtids(Vec<u8>),
    Characteristics(Vec<u8>),
    Transaction(Vec<u8>),
}

impl Report {
    fn any() -> impl Strategy<Value = Self> {
        prop_oneof![
            (text(), text()).prop_map(|(name, value)| Self::Variable(name, value)),
            text().prop_map(Self::Schema),
            text().prop_map(Self::Gtids),
            text().prop_map(Self::Characteristics),
            text().prop_map(Self::Transaction),
        ]
    }

    fn ours(&self) -> Tracker<'_> {
        match self {
            Self::Variable(name, value) => Tracker::SystemVariable { name, value },
            Self::Schema(name) => Tracker::Schema(name),
            Self::Gtids(data) => Tracker::Gtids(data),
            Self::Characteristics(text) => Tracker::TransactionCharacteristics(text),
            Self::Transaction(letters) => Tracker::TransactionState(letters),
        }
    }

    fn theirs(&self) -> (SessionStateType, change::SessionStateChange<'_>) {
        use SessionStateType as Type;
        use change::SessionStateChange as Change;
        match self {
            Self::Variable(name, value) => {
                let variable = change::SystemVariable::new(&name[..], &value[..]);
                (Type::SESSION_TRACK_SYSTEM_VARIABLES, Change::SystemVariables(vec![variable]))
            }
            Self::Schema(name) => {
                (Type::SESSION_TRACK_SCHEMA, Change::Schema(change::Schema::new(&name[..])))
            }
            Self::Gtids(data) => {
                (Type::SESSION_TRACK_GTIDS, Change::Gtids(change::Gtids::new(&data[..])))
            }
            Self::Characteristics(text) => (
                Type::SESSION_TRACK_TRANSACTION_CHARACTERISTICS,
                Change::TransactionCharacteristics(change::TransactionCharacteristics::new(
                    &text[..],
                )),
            ),
            Self::Transaction(letters) => (
                Type::SESSION_TRACK_TRANSACTION_STATE,
                Change::TransactionState(change::TransactionState::new(&letters[..])),
            ),
        }
    }
}

/// Feeds a whole reply to the machine that finds its end; gives its controls and what is left.
fn controls(shape: ReplyShape, reply: &[u8]) -> (Vec<Control>, usize) {
    let mut input = reply.to_vec();
    let mut exchange = Exchange::new(shape);
    let (mut at, mut controls) = (0, Vec::new());
    loop {
        match exchange.step(&mut input[at..]).unwrap() {
            Step::Done => return (controls, input.len() - at),
            Step::NeedMore(n) => panic!("{n} bytes are wanted of a reply that is whole"),
            Step::Pass(n) => at += n,
            Step::Control { kind, length } => {
                controls.push(kind);
                at += length;
            }
        }
    }
}

proptest! {
    #[test]
    fn they_read_our_ok_packets(
        affected_rows in number(), last_insert_id in number(), flags: u16, warnings: u16,
        info in text(), reports in proptest::collection::vec(Report::any(), 0..4),
    ) {
        let mut state_changes = BytesMut::new();
        for report in &reports {
            put_tracker(&mut state_changes, &report.ours());
        }
        let status = Status(flags & KNOWN_STATUS);
        let ok = OkPacket {
            affected_rows, last_insert_id, status, warnings, info: &info,
            state_changes: &state_changes,
        };
        let mut payload = BytesMut::new();
        ok.encode(OkKind::Ok, TRACKED, &mut payload);
        let read = read_ok::<theirs::CommonOkPacket>(&payload, TRACKED);
        prop_assert_eq!(read.affected_rows(), affected_rows);
        prop_assert_eq!(read.last_insert_id().unwrap_or(0), last_insert_id);
        prop_assert_eq!(read.warnings(), warnings);
        prop_assert_eq!(read.info_ref().unwrap_or_default(), &info[..]);
        let changed = Status::SESSION_STATE_CHANGED;
        prop_assert_eq!(read.status_flags().bits() & changed.0 != 0, !reports.is_empty());
        let entries = read.session_state_info().unwrap();
        prop_assert_eq!(entries.len(), reports.len());
        for (entry, report) in entries.iter().zip(&reports) {
            let (kind, expected) = report.theirs();
            prop_assert_eq!(entry.data_type(), kind);
            if !matches!(report, Report::Gtids(_)) {
                prop_assert_eq!(entry.decode().unwrap(), expected);
            }
        }
        prop_assert_eq!(OkPacket::parse(&payload, TRACKED).unwrap().state_changes, &state_changes[..]);
    }

    #[test]
    fn they_read_the_ends_of_our_result_sets(flags: u16, warnings: u16) {
        let ok = OkPacket { status: Status(flags & KNOWN_STATUS), warnings, ..OkPacket::default() };
        let status = ok.status.without(Status::SESSION_STATE_CHANGED).0;
        for capabilities in [TRACKED, Capabilities::SESSION_TRACK, Capabilities::default()] {
            let mut payload = BytesMut::new();
            ok.encode(OkKind::ResultEnd, capabilities, &mut payload);
            let read = if capabilities.has(Capabilities::DEPRECATE_EOF) {
                read_ok::<theirs::ResultSetTerminator>(&payload, capabilities)
            } else {
                prop_assert_eq!(payload.len(), 5, "an EOF packet");
                read_ok::<theirs::OldEofPacket>(&payload, capabilities)
            };
            prop_assert_eq!(read.status_flags().bits(), status);
            prop_assert_eq!(read.warnings(), warnings);
            let own = OkPacket::parse(&payload, capabilities).unwrap();
            prop_assert_eq!((own.status.0, own.warnings), (status, warnings));
        }
    }

    #[test]
    fn we_read_their_trackers(reports in proptest::collection::vec(Report::any(), 0..5)) {
        let mut raw = BytesMut::new();
        for report in &reports {
            let (kind, change) = report.theirs();
            raw.put_u8(kind as u8);
            put_lenenc_bytes(&mut raw, &serialized(&change));
        }
        let read: Vec<_> = Trackers::new(&raw).map(Result::unwrap).collect();
        let expected: Vec<_> = reports.iter().map(Report::ours).collect();
        prop_assert_eq!(read, expected);
    }

    #[test]
    fn errors_are_the_same_to_both(code in 1..0xFFFE_u16, state in "[0-9A-Z]{5}", message in text()) {
        let sqlstate: [u8; 5] = state.as_bytes().try_into().unwrap();
        let error = ErrPacket { code, sqlstate, message: &message };
        let mut payload = BytesMut::new();
        error.encode(&mut payload);
        let read = theirs::ErrPacket::deserialize(
            CapabilityFlags::CLIENT_PROTOCOL_41, &mut ParseBuf(&payload),
        ).unwrap();
        let read = read.server_error();
        prop_assert_eq!(read.error_code(), code);
        prop_assert_eq!(read.sql_state_ref().unwrap().as_bytes(), sqlstate);
        prop_assert_eq!(read.message_ref(), &message[..]);
        prop_assert_eq!(ErrPacket::parse(&payload), Ok(error));
        let written = theirs::ErrPacket::Error(theirs::ServerError::new(
            code, Some(theirs::SqlState::new(sqlstate)), &message[..],
        ));
        prop_assert_eq!(serialized(&written), &payload[..]);
    }

    #[test]
    fn they_read_our_result_sets(
        names in proptest::collection::vec(text(), 1..4), rows in 0..4_usize,
        collation: u16, length: u32, flags: u16, decimals: u8, deprecate: bool, warnings: u16,
    ) {
        let capabilities = if deprecate { TRACKED } else { Capabilities::SESSION_TRACK };
        let kind = ColumnType::MYSQL_TYPE_VAR_STRING as u8;
        let definition = |name| {
            ColumnDefinition { name, collation, length, kind, flags: flags & 0x7FFF, decimals }
        };
        let columns: Vec<_> = names.iter().map(|name| {
            let mut column = BytesMut::new();
            definition(name).encode(&mut column);
            column
        }).collect();
        let row: BytesMut = names.iter().fold(BytesMut::new(), |mut row, name| {
            put_lenenc_bytes(&mut row, name);
            row
        });
        let mut out = BytesMut::new();
        let end =
            ResultEnd { capabilities, status: Status::AUTOCOMMIT, warnings, state_changes: &[] };
        put_result_set(&mut out, &mut 1, &columns, (0..rows).map(|_| &row[..]), end);
        let mut packets = Vec::new();
        let mut rest = &out[..];
        while let Some(header) = Header::parse(rest) {
            packets.push(&rest[HEADER..HEADER + header.length]);
            rest = &rest[HEADER + header.length..];
        }
        let middle = usize::from(!deprecate);
        prop_assert_eq!(packets.len(), 1 + names.len() + middle + rows + 1);
        prop_assert_eq!(Cursor::new(packets[0]).lenenc_int(), Ok(names.len() as u64));
        for (name, packet) in names.iter().zip(&packets[1..]) {
            let column = theirs::Column::deserialize((), &mut ParseBuf(packet)).unwrap();
            prop_assert_eq!(column.name_ref(), &name[..]);
            prop_assert_eq!(column.character_set(), collation);
            prop_assert_eq!(column.column_length(), length);
            prop_assert_eq!(column.column_type() as u8, kind);
            prop_assert_eq!(column.decimals(), decimals);
            prop_assert_eq!(ColumnDefinition::parse(packet), Ok(definition(name)));
        }
        let last = packets[packets.len() - 1];
        let read = if deprecate {
            // Where rows are, the machine finds the same end.
            prop_assert_eq!(controls(ReplyShape::Query, &out).1, 0);
            read_ok::<theirs::ResultSetTerminator>(last, capabilities)
        } else {
            read_ok::<theirs::OldEofPacket>(last, capabilities)
        };
        prop_assert_eq!(read.warnings(), warnings);
    }

    #[test]
    fn a_prepared_statement_ends_where_they_say(id: u32, columns in 0..9_u16, parameters in 0..9_u16) {
        let mut head = vec![0];
        head.extend_from_slice(&id.to_le_bytes());
        head.extend_from_slice(&columns.to_le_bytes());
        head.extend_from_slice(&parameters.to_le_bytes());
        head.extend_from_slice(&[0, 7, 0]);
        let read = theirs::StmtPacket::deserialize((), &mut ParseBuf(&head)).unwrap();
        prop_assert_eq!((read.statement_id(), read.warning_count()), (id, 7));
        let (mut reply, mut sequence) = (BytesMut::new(), 1);
        put_packet(&mut reply, &mut sequence, &serialized(&read));
        for _ in 0..read.num_params() + read.num_columns() {
            let column = theirs::Column::new(ColumnType::MYSQL_TYPE_LONGLONG).with_name(b"c");
            put_packet(&mut reply, &mut sequence, &serialized(&column));
        }
        reply.put_slice(b"next");
        prop_assert_eq!(controls(ReplyShape::Prepare, &reply).1, 4);
    }

    #[test]
    fn a_file_asked_for_by_them_is_seen(name in text()) {
        let mut reply = BytesMut::new();
        let packet = theirs::LocalInfilePacket::new(&name[..]);
        put_packet(&mut reply, &mut 1, &serialized(&packet));
        let step = Exchange::new(ReplyShape::Query).step(&mut reply.to_vec());
        prop_assert_eq!(step, Ok(Step::Control { kind: Control::LocalInfile, length: reply.len() }));
    }

    #[test]
    fn we_read_their_executions(id: u32, values in proptest::collection::vec(value(), 0..20)) {
        let (request, _) = theirs::ComStmtExecuteRequestBuilder::new(id).build(&values);
        let raw = serialized(&request);
        let parameters = u16::try_from(values.len()).unwrap();
        let execute = Execute::parse(&raw[1..], parameters, Capabilities::default()).unwrap();
        prop_assert_eq!(execute.statement_id, id);
        prop_assert!(!execute.wants_cursor());
        for (at, value) in values.iter().enumerate() {
            let null = execute.null_bitmap[at / 8] & 1 << (at % 8) != 0;
            prop_assert_eq!(null, matches!(value, Value::NULL));
        }
        // Under the number of another connection it is the same, byte for byte.
        let mut again = BytesMut::new();
        execute.encode(id, parameters, &[], Capabilities::default(), &mut again);
        prop_assert_eq!(&again[..], &raw[..]);
    }

    #[test]
    fn we_read_their_bulk_executions(
        id: u32, rows in proptest::collection::vec(proptest::collection::vec(value(), 3), 1..5),
    ) {
        let flags = StmtBulkExecuteFlags::SEND_TYPES_TO_SERVER;
        let request = theirs::ComStmtBulkExecuteRequest::new(id, flags, rows).unwrap();
        let raw = serialized(&request);
        let bulk = BulkExecute::parse(&raw[1..], 3).unwrap();
        prop_assert_eq!((bulk.statement_id, bulk.flags), (id, flags.bits()));
        prop_assert_eq!(bulk.types.map(<[u8]>::len), Some(6));
        let mut again = BytesMut::new();
        bulk.encode(id, &[], &mut again);
        prop_assert_eq!(&again[..], &raw[..]);
    }

    #[test]
    fn long_data_and_closes_are_written_as_they_write_them(id: u32, parameter: u16, data in text()) {
        let raw = serialized(&theirs::ComStmtSendLongData::new(id, parameter, &data[..]));
        let read = LongData::parse(&raw[1..]).unwrap();
        prop_assert_eq!((read.statement, read.parameter, read.data), (id, parameter, &data[..]));
        let mut written = BytesMut::new();
        LongData::put(&mut written, id, parameter, &data);
        prop_assert_eq!(&written[HEADER..], &raw[..]);
        written.clear();
        let close = super::command::CommandCode::StmtClose;
        super::command::put_statement_command(&mut written, close, id, &[]);
        prop_assert_eq!(&written[HEADER..], &serialized(&theirs::ComStmtClose::new(id))[..]);
    }

    #[test]
    fn we_read_their_changes_of_user(
        user in "[a-z]{0,20}", database in "[a-z]{0,9}", proof in "[a-z]{0,32}", collation: u16,
    ) {
        let more = theirs::ComChangeUserMoreData::new(collation)
            .with_auth_plugin(Some(theirs::AuthPlugin::CachingSha2Password));
        let packet = theirs::ComChangeUser::new()
            .with_user(Some(user.as_bytes()))
            .with_database(Some(database.as_bytes()))
            .with_auth_plugin_data(Some(proof.as_bytes()))
            .with_more_data(Some(more));
        let raw = serialized(&packet);
        let read = ChangeUser::parse(&raw[1..], Capabilities::PLUGIN_AUTH).unwrap();
        prop_assert_eq!(read.user, user.as_bytes());
        prop_assert_eq!(read.database, database.as_bytes());
        prop_assert_eq!(read.proof, proof.as_bytes());
        prop_assert_eq!(read.collation, Some(collation));
        prop_assert_eq!(read.plugin, Some(&b"caching_sha2_password"[..]));
    }
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::NULL),
        text().prop_map(Value::Bytes),
        any::<i64>().prop_map(Value::Int),
        any::<u64>().prop_map(Value::UInt),
        any::<f64>().prop_map(Value::Double),
        Just(Value::Date(2026, 11, 26, 17, 0, 9, 5)),
    ]
}
