//! What each sort of statement is found to do.

use super::*;
use crate::session::server::{Flavor, ServerVersion};

fn dialect(flavor: Flavor) -> Dialect {
    let number = match flavor {
        Flavor::MySql => (9, 7, 4),
        Flavor::MariaDb => (10, 11, 19),
    };
    Dialect::new(&ServerVersion { flavor, number, text: String::new() })
}

fn mysql(sql: &str) -> Analysis {
    analyze(sql.as_bytes(), &dialect(Flavor::MySql), &Catalogue::new())
}

fn mariadb(sql: &str) -> Analysis {
    analyze(sql.as_bytes(), &dialect(Flavor::MariaDb), &Catalogue::new())
}

#[test]
fn prints() {
    for sql in [
        "SELECT c FROM sbtest1 WHERE id=123456",
        "SELECT LAST_INSERT_ID() AS x",
        "set names utf8mb4 collate x, @a=5, global y=default",
        "SET STATEMENT max_statement_time=5 FOR SELECT @a",
        "PREPARE s FROM 'select 1'",
        "DO RELEASE_ALL_LOCKS()",
        "SELECT GET_LOCK('a''b', 1) x",
        "insert into t(a,b) values (1,2)",
        "/* millpond: pin */ select 1",
        "select `get_lock`('x',1)",
        "/*!40101 SET NAMES utf8 */;",
        "kill query 5",
    ] {
        println!("{sql}\n   {:?}\n   {:?}", mysql(sql), mariadb(sql));
    }
}
