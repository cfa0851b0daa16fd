//! What once was seen otherwise through Millpond: sessions that follow each other, in the language of
//! [`super::statements`].

use super::known_later;

/// What was wrong, and sessions that showed it.
pub(crate) type Known = (&'static str, &'static [&'static [&'static str]]);

/// All of them.
pub(crate) fn known() -> impl Iterator<Item = &'static Known> {
    KNOWN.iter().chain(known_later::KNOWN)
}

const KNOWN: &[Known] = &[
    (
        "a text became a number where another session had given one",
        &[
            &[
                "!prepare 0 SELECT ? AS v",
                "!execute 0 as i",
                "!execute 0 as i",
                "!execute 0 as i",
                "!execute 0 as w",
            ],
            &[
                "!prepare 0 SELECT ? AS v",
                "!execute 0 as w",
                "!execute 0 as N",
                "!execute 0 as w",
                "!execute 0 as d",
                "!execute 0 as i",
            ],
        ],
    ),
    (
        "a result without rows had no end while stored code had a cursor open",
        &[
            &["CALL looks()", "SELECT 1"],
            &["!prepare 0 CALL looks()", "!execute 0 bound", "!execute 0 cursor", "SELECT 1"],
        ],
    ),
    (
        "an update failed where another session had compared with a number",
        &[
            &["!prepare 0 UPDATE s SET n = 1 WHERE s = ?", "!execute 0 as i", "!execute 0 as i"],
            &[
                "!prepare 0 UPDATE s SET n = 1 WHERE s = ?",
                "!execute 0 as w",
                "!execute 0 as w",
                "!execute 0 as w",
            ],
        ],
    ),
    (
        "a statement's own former types were lost on another connection",
        &[&[
            "!prepare 1 SELECT CONCAT(?, 'x'), id FROM t ORDER BY id",
            "!execute 1 as i",
            "!execute 1 as w",
            "SELECT 1",
            "!execute 1 as N",
            "!execute 1 as D",
            "!execute 1 as i",
            "SELECT 1",
            "!execute 1 as i",
            "SELECT * FROM t ORDER BY id",
        ]],
    ),
    (
        "a statement was prepared again in the mode of another session",
        &[
            &[
                "!prepare 0 SELECT \"a\", ?",
                "SET sql_mode = 'ANSI_QUOTES'",
                "!execute 0 as i",
                "!execute 0 as i",
                "!execute 0 as i",
            ],
            &[
                "!prepare 0 SELECT \"a\", ?",
                "!execute 0 as i",
                "!execute 0 as w",
                "!execute 0 as i",
                "!execute 0 as i",
            ],
        ],
    ),
    (
        "a character set of results came back",
        &[&[
            "SET character_set_results = utf16",
            "SET character_set_results = latin1",
            "SELECT CAST('x' AS SIGNED); SHOW WARNINGS",
            "!prepare 2 SELECT CAST(? AS CHAR), HEX(?)",
            "BEGIN",
            "SELECT CAST('x' AS SIGNED)",
            "SET character_set_results = utf16",
            "!prepare 2 SELECT CAST(? AS CHAR), HEX(?)",
            "!execute 2 as w",
        ]],
    ),
    (
        "no rows of a table that was there were put into it, and none found",
        &[&[
            "CREATE TEMPORARY TABLE tt (a INT)",
            "SELECT id FROM t",
            "CREATE TEMPORARY TABLE IF NOT EXISTS tt (a INT) SELECT 23 AS a",
            "SELECT FOUND_ROWS() + 0",
            "DROP TEMPORARY TABLE tt",
            "SELECT COUNT(*) FROM t",
            "CREATE TEMPORARY TABLE IF NOT EXISTS tt (a INT) SELECT 23 AS a",
            "SELECT FOUND_ROWS() + 0",
        ]],
    ),
    (
        "errors were forgotten where a database was altered",
        &[&[
            "RELEASE SAVEPOINT s1",
            "ALTER DATABASE CHARACTER SET latin2",
            "SELECT @@error_count AS errors",
            "SHOW WARNINGS",
        ]],
    ),
    (
        "rows that were skipped were not found",
        &[&[
            "SELECT id FROM t ORDER BY id LIMIT 3 OFFSET 1",
            "SELECT FOUND_ROWS() + 0",
            "SELECT id FROM t ORDER BY id LIMIT 2, 5",
            "SELECT FOUND_ROWS()",
            "(SELECT id FROM t ORDER BY id LIMIT 1, 1) LIMIT 2",
            "SELECT FOUND_ROWS(), 1",
            "SELECT 1 FROM t UNION ALL SELECT 2 FROM s LIMIT 2",
            "SELECT FOUND_ROWS() + 0",
            "CALL half()",
            "SELECT FOUND_ROWS() + 0",
        ]],
    ),
    ("a session went on behind its end", &[&["BEGIN", "COMMIT RELEASE", "SELECT 1"]]),
    (
        "a session went on behind an end that was agreed before",
        &[&[
            "SET completion_type = 2",
            "COMMIT AND CHAIN NO RELEASE",
            "ROLLBACK TO s",
            "COMMIT",
            "SELECT 1",
        ]],
    ),
    (
        "a session went on behind an end among several statements",
        &[&["SET completion_type = 2", "BEGIN; DO 1; COMMIT", "SELECT 1"]],
    ),
    (
        "nobody could read what character sets a session had",
        &[&[
            "SET @a = 'é', @c = 5",
            "SET character_set_results = utf16",
            "SELECT @a, @c, 'ü'",
            "SELECT CAST('x' AS SIGNED)",
            "SHOW WARNINGS",
            "SET character_set_results = ucs2",
            "INSERT INTO t (a) VALUES (7)",
            "SELECT LAST_INSERT_ID(), @a",
            "SET NAMES latin1",
            "SELECT @a, @c, 'u'",
            "SET character_set_results = utf32",
            "!execute 0 as i",
            "SELECT @a",
        ]],
    ),
    (
        "a statement prepared by text took over types",
        &[&[
            "SET @c = 5",
            "SET @a = 'abc'",
            "PREPARE ps FROM 'SELECT ? AS v'",
            "EXECUTE ps USING @c",
            "SELECT 1",
            "EXECUTE ps USING @a",
            "EXECUTE ps USING @nosuch",
            "DEALLOCATE PREPARE ps",
            "SELECT 1",
            "PREPARE ps FROM 'SELECT ? AS v'",
            "EXECUTE ps USING @a",
        ]],
    ),
    (
        "what a failing statement had used up was said of the next transaction again",
        &[
            &[
                "CREATE TEMPORARY TABLE tt (a INT)",
                "SET TRANSACTION READ ONLY",
                "DROP TABLE nosuch",
                "SHOW SESSION VARIABLES LIKE 'time_zone'",
                "UPDATE t SET a = a + 1 WHERE id = 1",
                "SET TRANSACTION READ ONLY",
                "DROP TABLE nosuch",
                "SELECT ROW_COUNT()",
                "SHOW SESSION VARIABLES LIKE 'time_zone'",
                "UPDATE t SET a = a + 1 WHERE id = 1",
            ],
            &[
                "SET @a = 5",
                "CREATE TEMPORARY TABLE tt (a INT)",
                "SET TRANSACTION READ ONLY",
                "DROP TABLE nosuch",
                "SELECT @a",
                "UPDATE t SET a = a + 1 WHERE id = 1",
                "SET TRANSACTION READ ONLY",
                "DROP TABLE nosuch",
                "DROP TEMPORARY TABLE tt",
            ],
            &[
                "HANDLER t OPEN",
                "SET TRANSACTION READ ONLY",
                "DROP TABLE nosuch",
                "DO 1",
                "HANDLER t CLOSE",
                "UPDATE t SET a = a + 1 WHERE id = 1",
            ],
        ],
    ),
    (
        "an error came in place of the warnings that it is added to",
        &[&[
            "SELECT CAST('x' AS SIGNED)",
            "RESIGNAL",
            "SHOW WARNINGS",
            "RESIGNAL",
            "SELECT @@warning_count, @@error_count",
            "SELECT * FROM t",
            "RESIGNAL",
            "GET DIAGNOSTICS CONDITION 1 @no = MYSQL_ERRNO, @msg = MESSAGE_TEXT",
            "SELECT @no, @msg",
        ]],
    ),
    (
        "rows were counted that Millpond itself had asked for",
        &[
            &[
                "CREATE TEMPORARY TABLE tt (a INT)",
                "REPLACE INTO t SELECT id, a + 1 FROM t WHERE id < 3",
                "INSERT INTO t (nosuch) VALUES (1)",
                "KILL QUERY ¤",
                "SELECT * FROM (SELECT ROW_COUNT() AS r, FOUND_ROWS()) x",
            ],
            &[
                "CREATE TEMPORARY TABLE IF NOT EXISTS tt (a INT) SELECT 48 AS a",
                "GET DIAGNOSTICS CONDITION 1 @no = MYSQL_ERRNO, @msg = MESSAGE_TEXT",
                "SELECT COUNT(*), FOUND_ROWS() FROM t",
            ],
        ],
    ),
    (
        "rows were those of the statement before one that failed, or that inserted what it selected",
        &[&[
            "SELECT * FROM t",
            "INSERT INTO t (a) SELECT 5",
            "SELECT FOUND_ROWS()",
            "SELECT * FROM t",
            "INSERT INTO t (a) SELECT 'x'",
            "SELECT FOUND_ROWS()",
            "SELECT * FROM t",
            "SELECT a FROM t INTO @c",
            "SELECT FOUND_ROWS()",
            "SELECT * FROM t",
            "DELETE FROM t WHERE id = (SELECT id FROM t2 UNION SELECT 1 UNION SELECT 2)",
            "SELECT FOUND_ROWS()",
            "SELECT * FROM t",
            "INSERT INTO t (a) VALUES ((SELECT 4))",
            "SELECT FOUND_ROWS()",
        ]],
    ),
    (
        "a variable that was never assigned was NULL, where characters have one byte",
        &[&["SET NAMES latin1", "SELECT a, id FROM t WHERE id = 99 INTO @c, @d", "SELECT @c, @d"]],
    ),
    (
        "numbers that a hidden statement had seeded were others",
        &[
            &[
                "CALL dynamic('SET @@rand_seed1 = 5, @@rand_seed2 = 6')",
                "SELECT RAND(), 'first'",
                "SELECT RAND(), 'second'",
            ],
            &["CALL dynamic('SET @@timestamp = 1000')", "SELECT NOW(), 'first'", "SELECT NOW()"],
            &["CALL dynamic('SELECT 1 AS d')", "SELECT @dyn, @@timestamp > 2000"],
        ],
    ),
    (
        "what was said of the next transaction was lost where last values were fetched",
        &[&[
            "CALL dynamic('SELEC')",
            "SET TRANSACTION READ ONLY",
            "!fields t",
            "INSERT INTO s VALUES ('e', 57)",
            "GET DIAGNOSTICS @n = NUMBER, @rc = ROW_COUNT",
            "CALL dynamic('DROP TEMPORARY TABLE IF EXISTS tt')",
        ]],
    ),
    (
        "an UPDATE whose WHERE cannot be true left the rows that another session had found",
        &[&[
            "SELECT 1 UNION SELECT 2",
            "UPDATE t SET a = 1 WHERE id = 999",
            "SELECT FOUND_ROWS(), 1",
            "SELECT 1 UNION SELECT 2",
            "UPDATE t SET a = 1 WHERE id = NULL",
            "UPDATE t SET a = 1 LIMIT 0",
            "SELECT FOUND_ROWS()",
            "SELECT 1 UNION SELECT 2",
            "UPDATE t SET a = 1 WHERE id = NULL",
            "PREPARE ps FROM 'SELECT FOUND_ROWS() + 1'",
            "EXECUTE ps",
        ]],
    ),
    (
        "a setting that was put in place had a warning, which the session found",
        &[&[
            "SET SESSION sql_mode = REPLACE(@@sql_mode, 'STRICT_TRANS_TABLES', '')",
            "SET collation_connection = @@collation_database",
            "GET CURRENT DIAGNOSTICS CONDITION 1 @st = RETURNED_SQLSTATE, @o = CLASS_ORIGIN",
            "SHOW WARNINGS",
        ]],
    ),
    (
        "types that were given in another environment than a statement's first were forgotten",
        &[&[
            "!prepare 2 SELECT CONCAT(?, 'x'), ? + 1",
            "!execute 2 as wwi",
            "SET @@collation_connection = utf8mb4_bin",
            "!execute 2 as mwi",
            "SELECT nosuch",
            "!execute 2 as wwi",
        ]],
    ),
    (
        "warnings asked for by a cursor were cleared by its statement's preparation",
        &[&["!prepare 2 SHOW WARNINGS LIMIT 1", "SELECT * FROM tt2", "!execute 2 cursor"]],
    ),
    (
        "a statement prepared by name was prepared again over another that a routine had prepared",
        &[
            &[
                "PREPARE ps FROM 'SELECT \"a\", 1 || 1'",
                "SELECT 1",
                "CALL leaves('SELECT 42 AS l')",
                "CALL dynamic('SELEC')",
                "EXECUTE ps",
            ],
            &[
                "PREPARE ps FROM 'SELECT 7 AS p'",
                "SELECT 1",
                "CALL runs()",
                "SELECT 2",
                "EXECUTE ps",
            ],
        ],
    ),
];

/// Sessions from the file that the environment names, for as long as the test runs.
pub(crate) fn told() -> Option<(&'static str, Vec<&'static [&'static str]>)> {
    let path = std::env::var("DIFFERENTIAL_SESSION").ok()?;
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    let session = |text: &str| {
        let lines: Vec<_> = text.lines().map(|line| own_database(line.trim())).collect();
        let lines: &'static [&'static str] = Vec::leak(lines);
        lines
    };
    Some(("the sessions of the file", text.trim_end().split("\n\n").map(session).collect()))
}

/// The line with `§` in place of the database's name that a difference is told with.
fn own_database(line: &str) -> &'static str {
    let mut own = line.to_owned();
    for number in 0..super::SESSIONS {
        own = own.replace(&format!("{}{number}", super::compare::DIRECT), "§");
    }
    String::leak(own)
}
