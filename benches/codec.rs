//! What it costs to read and write the protocol.
//!
//! `cargo bench --bench codec`

use bytes::{BufMut, BytesMut};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use millpond::wire::capability::{Capabilities, Status};
use millpond::wire::command::{Execute, Query, put_parts};
use millpond::wire::cursor::Cursor;
use millpond::wire::exchange::{Exchange, ReplyShape, Step};
use millpond::wire::frame::{HEADER, Header, put_lenenc_bytes, put_packet};
use millpond::wire::reply::{OkKind, OkPacket, Tracker, Trackers, put_tracker};
use millpond::wire::resultset::{ColumnDefinition, ResultEnd, put_result_set};
use std::hint::black_box;

const CLIENT: Capabilities = Capabilities::SESSION_TRACK.with(Capabilities::DEPRECATE_EOF);

/// A reply of so many rows of so many bytes each.
fn reply(rows: usize, width: usize) -> Vec<u8> {
    let (mut column, mut row, mut out) = (BytesMut::new(), BytesMut::new(), BytesMut::new());
    let kind = ColumnDefinition {
        name: b"c",
        collation: 45,
        length: 1 << 20,
        kind: 0xFE,
        flags: 0,
        decimals: 0,
    };
    kind.encode(&mut column);
    put_lenenc_bytes(&mut row, &vec![b'x'; width]);
    let end = ResultEnd {
        capabilities: CLIENT,
        status: Status::AUTOCOMMIT,
        warnings: 0,
        state_changes: &[],
    };
    put_result_set(&mut out, &mut 1, &[column], (0..rows).map(|_| &row[..]), end);
    out.to_vec()
}

/// Finds the end of a reply.
fn follow(reply: &mut [u8]) -> u64 {
    let mut exchange = Exchange::new(ReplyShape::Query);
    let mut at = 0;
    loop {
        match exchange.step(&mut reply[at..]) {
            Ok(Step::Pass(n)) => at += n,
            Ok(Step::Control { length, .. }) => at += length,
            Ok(Step::Done | Step::NeedMore(_)) | Err(_) => return exchange.rows(),
        }
    }
}

fn frames(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("frame");
    for size in [40, 4_000, 400_000] {
        let payload = vec![b'x'; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(format!("write/{size}"), |bencher| {
            let mut out = BytesMut::with_capacity(size + HEADER);
            bencher.iter(|| {
                out.clear();
                put_packet(&mut out, &mut 0, black_box(&payload));
                out.len()
            });
        });
    }
    let mut small = BytesMut::new();
    let mut sequence = 0;
    for _ in 0..1_000 {
        put_packet(&mut small, &mut sequence, b"SELECT c FROM t WHERE id=1");
    }
    group.throughput(Throughput::Elements(1_000));
    group.bench_function("read/1000", |bencher| {
        bencher.iter(|| {
            let (mut at, mut count) = (0, 0_u32);
            while let Some(header) = Header::parse(black_box(&small[at..])) {
                at += HEADER + header.length;
                count += 1;
            }
            count
        });
    });
    group.finish();
}

fn exchanges(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("exchange");
    for (name, rows, width) in
        [("point_select", 1, 120), ("1000_rows", 1_000, 100), ("1_mb", 1_000, 1_000)]
    {
        let mut reply = reply(rows, width);
        group.throughput(Throughput::Bytes(reply.len() as u64));
        group.bench_function(name, |bencher| bencher.iter(|| follow(black_box(&mut reply))));
    }
    group.finish();
}

fn replies(criterion: &mut Criterion) {
    let mut trackers = BytesMut::new();
    put_tracker(&mut trackers, &Tracker::SystemVariable { name: b"statement_id", value: b"123" });
    put_tracker(&mut trackers, &Tracker::Schema(b"shop"));
    let plain = OkPacket { status: Status::AUTOCOMMIT, ..OkPacket::default() };
    let tracked = OkPacket { state_changes: &trackers, ..plain };
    let mut group = criterion.benchmark_group("ok");
    for (name, ok) in [("plain", plain), ("tracked", tracked)] {
        let mut payload = BytesMut::new();
        ok.encode(OkKind::Ok, CLIENT, &mut payload);
        group.bench_function(format!("{name}/read"), |bencher| {
            bencher.iter(|| {
                let ok = OkPacket::parse(black_box(&payload), CLIENT);
                ok.map_or(0, |ok| Trackers::new(ok.state_changes).count())
            });
        });
        group.bench_function(format!("{name}/write"), |bencher| {
            let mut out = BytesMut::with_capacity(256);
            bencher.iter(|| {
                out.clear();
                ok.encode(OkKind::Ok, black_box(CLIENT), &mut out);
                out.len()
            });
        });
    }
    group.finish();
}

fn commands(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("command");
    let mut query = BytesMut::new();
    query.put_slice(&[0, 1]);
    query.put_slice(b"SELECT c FROM t WHERE id=1");
    group.bench_function("query", |bencher| {
        bencher.iter(|| {
            let query = Query::parse(black_box(&query), Capabilities::QUERY_ATTRIBUTES);
            query.map_or(0, |query| query.sql.len())
        });
    });
    // Statement 7, no cursor, one iteration, no NULL, types follow: an unsigned BIGINT.
    let execute = [7, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 8, 0x80, 42, 0, 0, 0, 0, 0, 0, 0];
    group.bench_function("execute", |bencher| {
        bencher.iter_batched_ref(
            || BytesMut::with_capacity(256),
            |out| {
                let execute = Execute::parse(black_box(&execute), 1, Capabilities::default());
                if let Ok(execute) = execute {
                    let mut payload = BytesMut::with_capacity(64);
                    execute.encode(9, 1, &[], Capabilities::default(), &mut payload);
                    put_parts(out, &[&payload]);
                }
                Cursor::new(out).remaining()
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, frames, exchanges, replies, commands);
criterion_main!(benches);
