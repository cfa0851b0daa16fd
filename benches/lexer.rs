//! What it costs to read a statement.
//!
//! `cargo bench --bench lexer`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use millpond::session::catalogue::{Body, Builder, Catalogue};
use millpond::session::lexer::{Dialect, Lexer, TokenKind};
use millpond::session::server::{Flavor, ServerVersion};
use millpond::session::statement::analyze;

fn statements() -> Vec<(&'static str, Vec<u8>)> {
    let rows = "(12345,'some text of a usual length, with it''s quote',NULL,1.5),".repeat(500);
    let orm = "SELECT `orders`.`id`, `orders`.`created_at`, `orders`.`customer_id`, \
               `customers`.`name`, COUNT(`lines`.`id`) AS `lines` FROM `orders` INNER JOIN \
               `customers` ON `customers`.`id` = `orders`.`customer_id` LEFT JOIN `lines` ON \
               `lines`.`order_id` = `orders`.`id` WHERE `orders`.`state` IN ('new', 'paid') AND \
               `orders`.`created_at` > '2024-01-01 00:00:00' GROUP BY `orders`.`id` ORDER BY \
               `orders`.`created_at` DESC LIMIT 50";
    vec![
        ("point_select", b"SELECT c FROM sbtest1 WHERE id=123456".to_vec()),
        ("orm_select", orm.as_bytes().to_vec()),
        ("begin", b"BEGIN".to_vec()),
        ("commit", b"COMMIT".to_vec()),
        ("set_names", b"SET NAMES utf8mb4".to_vec()),
        ("update", b"UPDATE sbtest1 SET k=k+1 WHERE id=123456".to_vec()),
        ("insert_rows", format!("INSERT INTO t (a,b,c,d) VALUES {rows}(1,'',NULL,0)").into_bytes()),
        ("last_insert_id", b"SELECT LAST_INSERT_ID()".to_vec()),
        ("user_variable", b"SELECT @a, @b := 5".to_vec()),
    ]
}

fn reading(criterion: &mut Criterion) {
    let version = ServerVersion { flavor: Flavor::MySql, number: (9, 7, 4), text: String::new() };
    let dialect = Dialect::new(&version, b"", "utf8mb4");
    let empty = Catalogue::empty();
    let mut builder = Builder::new(&dialect);
    for name in 0..200 {
        let body = Body::Sql { text: b"set @a = 1", sql_mode: b"" };
        builder.trigger(format!("audited_{name}").as_bytes(), body);
    }
    let full = builder.build();
    for (name, sql) in statements() {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Bytes(sql.len() as u64));
        group.bench_function("tokens", |bencher| {
            bencher.iter(|| {
                let mut lexer = Lexer::new(black_box(&sql), &dialect);
                let mut count = 0_u32;
                while lexer.next_token().kind != TokenKind::End {
                    count += 1;
                }
                count
            });
        });
        group.bench_function("analyze", |bencher| {
            bencher.iter(|| analyze(black_box(&sql), &dialect, &empty));
        });
        group.bench_function("analyze_with_catalogue", |bencher| {
            bencher.iter(|| analyze(black_box(&sql), &dialect, &full));
        });
        group.finish();
    }
}

criterion_group!(benches, reading);
criterion_main!(benches);
