//! The databases in which the sessions work: one for each session and side, made alike.

use mysql_async::Conn;
use mysql_async::prelude::Queryable;

use super::compare::{DIRECT, THROUGH};
use crate::support::flavor::Flavor;
use crate::support::server::Server;

const TABLES: &[&str] = &[
    "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT)",
    "CREATE TABLE t2 (a INT)",
    "CREATE TABLE tg (a INT)",
    "CREATE TABLE s (s VARCHAR(10) CHARACTER SET utf8mb4, n INT)",
    "CREATE PROCEDURE si() BEGIN SELECT 42 INTO @si; END",
    "CREATE PROCEDURE err() BEGIN SET time_zone = '+03:00'; SET @e = 1; \
     SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'boo'; END",
    "CREATE PROCEDURE results() BEGIN SET time_zone = '+04:00'; SELECT 1 AS one; SET @pv2 = 6; \
     SELECT 2 AS two; END",
    "CREATE PROCEDURE trx() BEGIN START TRANSACTION; INSERT INTO t (a) VALUES (77); END",
    "CREATE PROCEDURE warns() BEGIN SELECT CAST('w' AS SIGNED); END",
    "CREATE PROCEDURE hides() BEGIN CREATE TEMPORARY TABLE IF NOT EXISTS tt SELECT 8 AS a; \
     SELECT 5 INTO @c; END",
    "CREATE PROCEDURE silently() BEGIN SET @@time_zone = '+09:00', @@lc_time_names = 'it_IT'; END",
    "CREATE FUNCTION uv() RETURNS INT DETERMINISTIC BEGIN SET @fv = 9; RETURN 1; END",
    "CREATE FUNCTION tz() RETURNS INT DETERMINISTIC BEGIN SET time_zone = '+05:00'; RETURN 1; END",
    "CREATE FUNCTION ins(n INT) RETURNS INT DETERMINISTIC BEGIN INSERT INTO t (a) VALUES (n); \
     RETURN n; END",
    "CREATE TRIGGER tgt BEFORE INSERT ON tg FOR EACH ROW BEGIN SELECT 7 INTO @trg; END",
    "CREATE TABLE k (i TINYINT, u BIGINT UNSIGNED, d DECIMAL(10,3), f FLOAT, b BIT(9), y YEAR, \
     dt DATETIME(3), tm TIME, da DATE, ts TIMESTAMP NULL, e ENUM('a', 'b'), se SET('x', 'y'), \
     bl BLOB, tx TEXT CHARACTER SET utf8mb4, bi BINARY(3), j JSON, c CHAR(4) CHARACTER SET latin1)",
    "CREATE PROCEDURE outs(n INT, OUT o INT, INOUT b VARCHAR(20)) BEGIN SET o = n + 1; \
     SELECT n, b; SET b = CONCAT(IFNULL(b, ''), 'o'); END",
    "CREATE PROCEDURE half() BEGIN SELECT 1 AS one; INSERT INTO t (a) VALUES (55); \
     SELECT * FROM nosuch; END",
    "CREATE PROCEDURE handled() BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION BEGIN \
     GET DIAGNOSTICS CONDITION 1 @hm = MESSAGE_TEXT, @hn = MYSQL_ERRNO; END; \
     INSERT INTO t (id) VALUES (1), (1); SELECT 3; END",
    "CREATE PROCEDURE dynamic(s TEXT) BEGIN SET @dyn = s; PREPARE dyn FROM @dyn; EXECUTE dyn; \
     DEALLOCATE PREPARE dyn; END",
    "CREATE PROCEDURE leaves(s TEXT) BEGIN SET @dyn = s; PREPARE ps FROM @dyn; END",
    "CREATE PROCEDURE runs() BEGIN EXECUTE ps; END",
    "CREATE PROCEDURE walk() BEGIN DECLARE done INT DEFAULT 0; DECLARE n INT; \
     DECLARE c CURSOR FOR SELECT id FROM t ORDER BY id LIMIT 3; \
     DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = 1; OPEN c; \
     REPEAT FETCH c INTO n; UNTIL done END REPEAT; CLOSE c; SET @hn = n; END",
    "CREATE PROCEDURE looks() BEGIN DECLARE c CURSOR FOR SELECT id FROM t; OPEN c; \
     SELECT a FROM t WHERE FALSE; SELECT a, id FROM t WHERE id < 0; CLOSE c; END",
    "CREATE FUNCTION adds(n INT, m INT) RETURNS INT DETERMINISTIC RETURN n + IFNULL(m, 0)",
    "CREATE VIEW w AS SELECT tz() AS z, COUNT(*) FROM t2",
];

/// What only MariaDB has.
const SEQUENCES: &[&str] = &[
    "CREATE SEQUENCE sd",
    "CREATE TABLE sdt (id BIGINT DEFAULT NEXTVAL(sd) PRIMARY KEY, a INT)",
    "CREATE FUNCTION draws() RETURNS BIGINT RETURN NEXTVAL(se)",
];

/// What of that is made anew for each session.
const SEQUENCES_ANEW: &[&str] = &[
    "DELETE FROM sdt",
    "ALTER SEQUENCE sd RESTART 1",
    "CREATE OR REPLACE SEQUENCE se START WITH 1000",
    "DROP SEQUENCE IF EXISTS sq",
];

const CONTENT: &[&str] = &[
    "ALTER DATABASE CHARACTER SET utf8mb4",
    "DROP TABLE IF EXISTS ddl",
    "DROP VIEW IF EXISTS v",
    "TRUNCATE t",
    "DELETE FROM t2",
    "DELETE FROM tg",
    "DELETE FROM s",
    "DELETE FROM k",
    "INSERT INTO k VALUES (-1, 18446744073709551615, 1.125, 0.5, b'101', 2020, \
     '2020-01-02 03:04:05.678', '-10:11:12', '2020-02-29', '2020-01-01 00:00:00', 'b', 'x,y', \
     x'00ff', 'té', 'ab', '[1, 2]', 'cé')",
    "INSERT INTO t (a) VALUES (1), (2), (3)",
    "INSERT INTO s VALUES ('eins', 1)",
];

/// Makes the databases of this many sessions.
pub(crate) async fn create(server: &Server, sessions: usize) {
    let mut admin = server.admin().await;
    run(&mut admin, &["DROP ROLE IF EXISTS reader", "CREATE ROLE reader", "GRANT reader TO app"])
        .await;
    // What sessions hold is told to who asks.
    let tells = match server.flavor {
        Flavor::MariaDb => "INSTALL SONAME 'metadata_lock_info'",
        Flavor::MySql => "GRANT SELECT ON performance_schema.* TO app",
    };
    run(&mut admin, &[tells]).await;
    // Stored code is created under the mode of its creator.
    for side in [DIRECT, THROUGH] {
        for session in 0..sessions {
            for name in [format!("{side}{session}"), format!("{side}{session}x")] {
                let create = format!("CREATE DATABASE {name}");
                run(&mut admin, &[&format!("DROP DATABASE IF EXISTS {name}"), &create]).await;
                run(&mut admin, &[&format!("USE {name}")]).await;
                run(&mut admin, TABLES).await;
                if server.flavor == Flavor::MariaDb {
                    run(&mut admin, SEQUENCES).await;
                }
            }
        }
    }
    admin.disconnect().await.ok();
}

/// Puts the tables of one session back to their first content, on both sides.
pub(crate) async fn refresh(admin: &mut Conn, flavor: Flavor, session: usize) {
    // Whatever the server's default is.
    admin.query_drop("SET autocommit = 1").await.expect("autocommit");
    for side in [DIRECT, THROUGH] {
        for name in [format!("{side}{session}"), format!("{side}{session}x")] {
            run(admin, &[&format!("USE {name}")]).await;
            run(admin, CONTENT).await;
            if flavor == Flavor::MariaDb {
                run(admin, SEQUENCES_ANEW).await;
            }
        }
    }
}

async fn run(admin: &mut Conn, statements: &[&str]) {
    for sql in statements {
        admin.query_drop(*sql).await.expect(sql);
    }
}
