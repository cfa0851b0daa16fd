//! The later ones of [`super::known`].

use super::known::Known;

/// What was wrong, and sessions that showed it.
pub(crate) const KNOWN: &[Known] = &[
    (
        "what was said of the next transaction was said again after another command had reported its end",
        &[&[
            "LOCK TABLES t READ LOCAL",
            "SET TRANSACTION READ ONLY",
            "ALTER SEQUENCE sd RESTART 3",
            "!option 0",
            "KILL QUERY ¤",
            "INSERT INTO t (id, a) VALUES (1, 1)",
        ]],
    ),
    (
        "a statement prepared by name was taken for any other after a look at what its connection has",
        &[&["PREPARE p2 FROM 'CALL results()'", "CALL dynamic('SET @b = 1')", "EXECUTE p2"]],
    ),
    (
        "types given to a statement that may do anything were forgotten after a look at its connection",
        &[&[
            "CREATE OR REPLACE VIEW v AS SELECT uv() AS u",
            "!prepare 2 SELECT ? AS v",
            "!execute 2 as T",
            "SELECT 1",
            "!execute 2 null",
            "!close 2",
        ]],
    ),
    (
        "an execution that failed in another database did not tell of the return from there",
        &[&[
            "!prepare 1 INSERT INTO s VALUES (?, ?)",
            "START TRANSACTION READ ONLY",
            "USE §x",
            "!execute 1 null",
            "SELECT 1",
        ]],
    ),
    (
        "a session that a hidden COMMIT had ended went on",
        &[&["SET completion_type = 2", "CALL dynamic('COMMIT')", "SELECT 1"]],
    ),
    (
        "a text that asks for the last statement's rows found those of Millpond's questions",
        &[&[
            "CALL dynamic('SELECT 4 INTO @c')",
            "PREPARE ps FROM 'SELECT ROW_COUNT() + 1'",
            "EXECUTE ps",
            "DEALLOCATE PREPARE ps",
            "SELECT @c",
        ]],
    ),
    (
        "a cursor had other types than its statement, in a distributed transaction",
        &[&[
            "XA START 'x§'",
            "!prepare 1 SELECT ? UNION SELECT 1",
            "!execute 1 as iii",
            "!execute 1 cursor",
            "XA END 'x§'",
            "XA ROLLBACK 'x§'",
        ]],
    ),
    (
        "an execution with too many values was refused for what its preparation was refused for",
        &[&[
            "PREPARE ps FROM 'INSERT INTO t (a) VALUES (?)'",
            "START TRANSACTION READ ONLY",
            "EXECUTE ps USING @d, @d",
            "EXECUTE ps USING @d",
            "EXECUTE ps",
        ]],
    ),
    (
        "a look at what a sequence gave last began a transaction",
        &[&[
            "SET autocommit = 0",
            "INSERT INTO nosuch VALUES (NEXTVAL(sd))",
            "SET collation_connection = utf8mb4_general_ci",
            "DO NEXTVAL(sq)",
            "SELECT @@last_insert_id, @@identity, @@insert_id",
        ]],
    ),
    (
        "rows that an execution is told of were counted by what was said before it",
        &[&[
            "!prepare 1 SELECT ROW_COUNT(), FOUND_ROWS() + ?",
            "BEGIN",
            "UPDATE t, t2 SET t.a = 37 WHERE t.id = 1",
            "SET character_set_connection = gbk",
            "!execute 1 as wii",
        ]],
    ),
    (
        "a routine found as many rows as the connection had found for its settings",
        &[&[
            "SET @d = 1",
            "SHOW SESSION VARIABLES WHERE Variable_name NOT IN ('timestamp', 'pseudo_thread_id', \
             'rand_seed1', 'rand_seed2', 'statement_id')",
            "CALL dynamic('SET @hn = 34')",
            "SELECT FOUND_ROWS() > 400",
        ]],
    ),
    (
        "what a failed statement had changed was told to Millpond, and not to its client",
        &[
            &["!prepare 2 SELECT 23", "SET sql_mode = ''", "CALL err()", "!execute 2 as fii"],
            &["CALL err()", "SELECT ROW_COUNT()"],
            &["CALL err()", "SELECT CONNECTION_ID() > 1"],
            &["CALL err()", "SHOW SESSION VARIABLES LIKE 'time_zone'"],
            &["CALL err()", "!ping"],
            &["!prepare 1 SELECT 1", "CALL err()", "!reset 1", "SELECT 1"],
            &["CALL err()", "SELECT nosuch", "CALL err()", "!option 0", "SELECT 1"],
        ],
    ),
    (
        "what others had prepared by name, or said of their next transaction, was there",
        &[
            &["PREPARE ps FROM 'SELECT ? AS v, ? IS NULL'", "SET TRANSACTION READ ONLY"],
            &[
                "!prepare 1 INSERT INTO s VALUES (?, ?)",
                "!execute 1 bound",
                "!execute 1 cursor",
                "SET TRANSACTION READ ONLY",
            ],
            &["START TRANSACTION READ ONLY", "CALL runs()", "ROLLBACK", "CALL runs()"],
        ],
    ),
    (
        "an execution that failed in another database did not tell of the return",
        &[&[
            "!prepare 2 SELECT (SELECT 1 UNION SELECT 2)",
            "!database §x",
            "!execute 2 as NNN",
            "DO 1",
        ]],
    ),
    (
        "a row's value that was out of range did not make the last statement's rows none",
        &[&[
            "SET @a = 18446744073709551615",
            "SELECT @a := @a + 1, @b := 'x' FROM t LIMIT 2",
            "SELECT COUNT(*), FOUND_ROWS() FROM t",
        ]],
    ),
    (
        "a cursor of the number of warnings was not opened",
        &[
            &["SELECT 1 / 0", "!prepare 0 SHOW COUNT(*) WARNINGS", "!execute 0 cursor"],
            &["!prepare 0 SHOW COUNT(*) ERRORS", "SELECT nosuch", "!execute 0 cursor"],
        ],
    ),
    (
        "values of an old character set left a warning for a statement that asks for one",
        &[&[
            "SELECT nosuch",
            "GET CURRENT DIAGNOSTICS CONDITION 1 @st = RETURNED_SQLSTATE",
            "DO 1",
            "GET CURRENT DIAGNOSTICS CONDITION 1 @st = RETURNED_SQLSTATE",
        ]],
    ),
    (
        "a statement that asks for the number of warnings did not clear them",
        &[
            &["SELECT 1 / 0", "CREATE TEMPORARY TABLE tt SELECT @@warning_count", "SHOW WARNINGS"],
            &["SELECT 1 || 1", "SHOW WARNINGS", "SET @a = @@warning_count", "SHOW WARNINGS"],
            &["SELECT nosuch", "SHOW ERRORS", "DO @@error_count", "SHOW COUNT(*) ERRORS"],
            &[
                "SET @a = 5",
                "CREATE TEMPORARY TABLE tt SELECT 1 AS a",
                "SELECT 1 || 1",
                "SET @a = @@warning_count",
                "SELECT @a",
            ],
        ],
    ),
];
