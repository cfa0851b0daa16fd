"""One story, told through any Python driver: what an application does with a database.

Each step prints one line, `step: JSON`. The test runs the story twice, directly on a server and
through Millpond, and compares the lines. So nothing here says what is right: the server does. What
differs from run to run (ids, times) must not be printed.

    python with_DRIVER.py HOST PORT USER PASSWORD DATABASE TLS HEAVY

TLS is `default`, `off` or `on`; HEAVY is `light` or `heavy` (more than 16 MiB in one packet).
"""

import datetime
import decimal
import hashlib
import json
import os
import sys
import tempfile
import traceback
from dataclasses import dataclass

UNICODE = "Grüße, κόσμε, 世界, 🐬 \\ ' \" \0 %"
MEBIBYTE = 1 << 20


@dataclass
class Where:
    """What the test tells on the command line."""

    host: str
    port: int
    user: str
    password: str
    database: str
    tls: str
    heavy: bool


class Driver:
    """What differs between drivers. One subclass each."""

    # The package's name, and what its cursors substitute parameters with.
    module = None
    # Whether the driver offers a protocol-level prepared statement.
    prepares = False
    multi_statements = True
    load_local = True

    def connect(self, where, **overrides):
        raise NotImplementedError

    def streaming_cursor(self, connection):
        raise NotImplementedError

    def prepared_cursor(self, connection):
        raise NotImplementedError

    def results_of(self, cursor, sql):
        """Runs several statements at once; yields the rows of each."""
        cursor.execute(sql)
        while True:
            yield plain(cursor.fetchall()) if cursor.description else cursor.rowcount
            if not cursor.nextset():
                break

    def call(self, cursor, name, arguments):
        """Calls a procedure; yields the rows of each result set."""
        cursor.callproc(name, arguments)
        while True:
            if cursor.description:
                yield plain(cursor.fetchall())
            if not cursor.nextset():
                break

    def thread_id(self, connection):
        return connection.thread_id()

    def reconnect_as(self, connection, where):
        """COM_CHANGE_USER, where the driver has it."""

    def reset(self, connection):
        """COM_RESET_CONNECTION, where the driver has it."""

    def server_version(self, connection):
        return connection.get_server_info()


def plain(value):
    """A value as JSON can hold it, with its type told where JSON would lose it."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(part) for part in value]
    if isinstance(value, (bytes, bytearray)):
        if len(value) > 200:
            return f"{len(value)} bytes {hashlib.sha256(value).hexdigest()[:16]}"
        return "0x" + bytes(value).hex()
    if isinstance(value, str) and len(value) > 2000:
        return f"{len(value)} characters {hashlib.sha256(value.encode()).hexdigest()[:16]}"
    if isinstance(value, set):
        return sorted(value)
    if isinstance(value, (decimal.Decimal, datetime.date, datetime.time, datetime.timedelta)):
        return f"{type(value).__name__} {value}"
    return value


def show(step, value):
    print(f"{step}: {json.dumps(plain(value), ensure_ascii=False)}", flush=True)


def error(work):
    """The error that `work` ends with, as numbers and text."""
    try:
        result = work()
    except Exception as failure:  # noqa: BLE001: any error is a result here
        if not hasattr(failure, "args") or type(failure).__module__ == "builtins":
            raise
        state = getattr(failure, "sqlstate", None)
        return [type(failure).__name__, state, plain(list(failure.args))]
    return ["no error", plain(result)]


def rows(connection, sql, arguments=None):
    cursor = connection.cursor()
    cursor.execute(sql, arguments)
    fetched = cursor.fetchall() if cursor.description else []
    cursor.close()
    return fetched


def run(connection, sql, arguments=None):
    """Rows affected and the last insert id, for what has no rows."""
    cursor = connection.cursor()
    cursor.execute(sql, arguments)
    done = [cursor.rowcount, cursor.lastrowid]
    cursor.close()
    return done


class Story:
    def __init__(self, driver, where):
        self.driver = driver
        self.where = where
        self.connection = driver.connect(where)

    def greeting(self):
        show("server", self.driver.server_version(self.connection))
        show("identity", rows(self.connection, "SELECT CURRENT_USER(), DATABASE(), VERSION()"))
        show(
            "session",
            rows(
                self.connection,
                "SELECT @@autocommit, @@character_set_client, @@character_set_connection,"
                " @@character_set_results, @@collation_connection, @@sql_mode, @@time_zone,"
                " @@tx_isolation" if "MariaDB" in self.driver.server_version(self.connection) else
                "SELECT @@autocommit, @@character_set_client, @@character_set_connection,"
                " @@character_set_results, @@collation_connection, @@sql_mode, @@time_zone,"
                " @@transaction_isolation",
            ),
        )
        own = rows(self.connection, "SELECT CONNECTION_ID()")[0][0]
        show("own id is the driver's", own == self.driver.thread_id(self.connection))
        encrypted = rows(self.connection, "SHOW SESSION STATUS LIKE 'Ssl_version'")
        if self.where.tls == "off":
            show("columns of status", len(encrypted[0]))

    def refusals(self):
        connect = self.driver.connect
        show("wrong password", error(lambda: connect(self.where, password="wrong")))
        show("empty password", error(lambda: connect(self.where, password="")))
        show("unknown database", error(lambda: connect(self.where, database="app_nosuch")))
        show("forbidden database", error(lambda: connect(self.where, database="mysql")))

    def tables(self):
        connection = self.connection
        run(
            connection,
            "CREATE TABLE things (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(100)"
            " CHARACTER SET utf8mb4, price DECIMAL(12,4), ratio DOUBLE, small TINYINT, big BIGINT,"
            " born DATE, at DATETIME(6), span TIME, kind ENUM('a','b'), flags SET('x','y','z'),"
            " bits BIT(12), doc JSON, data LONGBLOB, UNIQUE KEY name (name))",
        )
        insert = (
            "INSERT INTO things (name, price, ratio, small, big, born, at, span, kind, flags, bits,"
            " doc, data) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        )
        values = [
            UNICODE,
            decimal.Decimal("12345678.9012"),
            0.1,
            -128,
            -(2**63),
            datetime.date(2024, 2, 29),
            datetime.datetime(1999, 12, 31, 23, 59, 59, 999999),
            datetime.timedelta(hours=-30, minutes=-1),
            "b",
            "x,z",
            1025,
            '{"a": [1, null, "ü"]}',
            bytes(range(256)),
        ]
        show("insert", run(connection, insert, values))
        show("insert nulls", run(connection, insert, [None] * 13))
        show("last id", rows(connection, "SELECT LAST_INSERT_ID(), @@identity"))
        show("explicit id", run(connection, "INSERT INTO things (id, name) VALUES (900, 'z')"))
        show("last id stays", rows(connection, "SELECT LAST_INSERT_ID()"))
        cursor = connection.cursor()
        cursor.executemany(
            "INSERT INTO things (name, big) VALUES (%s, %s)", [(f"n{i}", i) for i in range(50)]
        )
        show("insert many", [cursor.rowcount, cursor.lastrowid])
        cursor.execute("SELECT * FROM things ORDER BY id LIMIT 3")
        show("columns", cursor.description)
        show("rows", cursor.fetchall())
        cursor.execute("SELECT * FROM things WHERE id = 0")
        show("no rows", cursor.fetchall())
        cursor.close()
        show("update", run(connection, "UPDATE things SET small = 1 WHERE big < 10 AND big >= 0"))
        show("update same", run(connection, "UPDATE things SET small = 1 WHERE big < 10"))
        show("row count", rows(connection, "SELECT ROW_COUNT()"))
        show("delete", run(connection, "DELETE FROM things WHERE big = 49"))
        connection.commit()

    def sizes(self):
        sizes = [0, 250, 251, 65535, 65536, MEBIBYTE]
        if self.where.heavy:
            # Three frames: the last is empty when the packet's length is a multiple of the limit.
            sizes += [16 * MEBIBYTE - 1 - 100, 17 * MEBIBYTE]
        for size in sizes:
            data = bytes(i % 251 for i in range(min(size, 4096))) * (size // 4096 + 1)
            data = data[:size]
            sql = "INSERT INTO things (name, data) VALUES (%s, _binary %s)"
            show(f"insert {size} bytes", run(self.connection, sql, (f"size {size}", data))[0])
            sql = "SELECT data, LENGTH(data) FROM things WHERE name = %s"
            show(f"select {size} bytes", rows(self.connection, sql, (f"size {size}",)))
        self.connection.commit()
        show("a result of many packets", rows(self.connection, "SELECT REPEAT('ab', 300000)"))

    def transactions(self):
        one, two = self.connection, self.driver.connect(self.where)
        count = "SELECT COUNT(*) FROM things WHERE name LIKE 'trx%'"
        run(one, "START TRANSACTION")
        run(one, "INSERT INTO things (name) VALUES ('trx 1')")
        show("inside", rows(one, count))
        show("outside", rows(two, count))
        one.rollback()
        show("rolled back", rows(one, count))
        run(one, "BEGIN")
        run(one, "INSERT INTO things (name) VALUES ('trx 2')")
        run(one, "SAVEPOINT s")
        run(one, "INSERT INTO things (name) VALUES ('trx 3')")
        run(one, "ROLLBACK TO SAVEPOINT s")
        one.commit()
        two.rollback()
        show("committed", rows(two, "SELECT name FROM things WHERE name LIKE 'trx%' ORDER BY name"))
        two.rollback()
        run(one, "SET autocommit = 1")
        run(one, "INSERT INTO things (name) VALUES ('trx 4')")
        show("autocommit", rows(two, count))
        run(one, "SET autocommit = 0")
        run(one, "INSERT INTO things (name) VALUES ('trx 5')")
        two.rollback()
        show("no autocommit", rows(two, count))
        one.rollback()
        show("duplicate", error(lambda: run(one, "INSERT INTO things (name) VALUES ('z')")))
        one.rollback()
        run(one, "SET TRANSACTION READ ONLY")
        run(one, "START TRANSACTION")
        show("read only", error(lambda: run(one, "DELETE FROM things WHERE id = 1")))
        one.rollback()
        two.close()

    def errors(self):
        for sql in [
            "SELEKT 1",
            "SELECT * FROM nosuch",
            "SELECT nosuch FROM things",
            "SELECT * FROM app_nosuch.t",
            "INSERT INTO things (small) VALUES (1000)",
            "CALL nosuch()",
            "SET nosuch = 1",
            "SET GLOBAL max_connections = 5",
            "SELECT * FROM mysql.user",
            "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'mine', MYSQL_ERRNO = 7777",
        ]:
            show(sql, error(lambda sql=sql: run(self.connection, sql)))
        self.connection.rollback()
        show("still there", rows(self.connection, "SELECT 1"))

    def state(self):
        connection = self.connection
        run(connection, "SET SESSION time_zone = '+05:30', SESSION sql_mode = 'ANSI_QUOTES'")
        run(connection, "SET @a = 5, @b = 'ü', @c = NULL")
        rows(connection, "SELECT 7 INTO @d")
        run(connection, "CREATE TEMPORARY TABLE scratch (x INT)")
        run(connection, "INSERT INTO scratch VALUES (1), (2)")
        connection.commit()
        run(connection, "PREPARE p FROM 'SELECT ? + @a'")
        connection.commit()
        show("variables", rows(connection, "SELECT @@time_zone, @@sql_mode, @a, @b, @c, @d"))
        show("temporary table", rows(connection, "SELECT * FROM scratch ORDER BY x"))
        show("text statement", rows(connection, "EXECUTE p USING @d"))
        show("lock", rows(connection, "SELECT GET_LOCK(CONCAT(DATABASE(), ' lock'), 1)"))
        connection.commit()
        other = self.driver.connect(self.where)
        show("nothing elsewhere", rows(other, "SELECT @a, @d, @@sql_mode = 'ANSI_QUOTES'"))
        show("no table elsewhere", error(lambda: rows(other, "SELECT * FROM scratch")))
        show("no statement elsewhere", error(lambda: rows(other, "EXECUTE p USING @d")))
        show("locked", rows(other, "SELECT GET_LOCK(CONCAT(DATABASE(), ' lock'), 0)"))
        other.close()
        show("release", rows(connection, "SELECT RELEASE_LOCK(CONCAT(DATABASE(), ' lock'))"))
        run(connection, "DROP TEMPORARY TABLE scratch")
        run(connection, "SET SESSION time_zone = DEFAULT, SESSION sql_mode = DEFAULT")
        run(connection, f"CREATE DATABASE IF NOT EXISTS {self.where.database}_2")
        run(connection, f"USE {self.where.database}_2")
        connection.commit()
        show("database", rows(connection, "SELECT DATABASE()"))
        run(connection, f"USE {self.where.database}")
        run(connection, f"DROP DATABASE {self.where.database}_2")

    def warnings(self):
        connection = self.connection
        run(connection, "SET SESSION sql_mode = ''")
        run(connection, "INSERT INTO things (small, big) VALUES (1000, 'abc')")
        show("warnings", rows(connection, "SHOW WARNINGS"))
        show("counts", rows(connection, "SELECT @@warning_count, @@error_count"))
        show("cast", rows(connection, "SELECT CAST('12x' AS SIGNED)"))
        show("warning", rows(connection, "SHOW WARNINGS"))
        connection.rollback()
        run(connection, "SET SESSION sql_mode = DEFAULT")
        rows(connection, "SELECT SQL_CALC_FOUND_ROWS id FROM things ORDER BY id LIMIT 2")
        show("found rows", rows(connection, "SELECT FOUND_ROWS()"))
        connection.commit()

    def routines(self):
        connection = self.connection
        run(
            connection,
            "CREATE PROCEDURE both_ways (IN a INT, INOUT b INT, OUT c VARCHAR(20)) BEGIN"
            " SET b = a + b; SET c = 'out'; SELECT a AS first; SELECT b AS second, c; END",
        )
        run(
            connection,
            "CREATE PROCEDURE stops () BEGIN SELECT 1 AS one;"
            " SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'half-way'; END",
        )
        cursor = connection.cursor()
        show("procedure", list(self.driver.call(cursor, "both_ways", (3, 4, None))))
        cursor.close()
        show("half-way", error(lambda: self.call_through("stops")))
        show("after it", rows(connection, "SELECT 'well'"))
        connection.commit()

    def call_through(self, name):
        cursor = self.connection.cursor()
        return list(self.driver.call(cursor, name, ()))

    def several(self):
        if not self.driver.multi_statements:
            return
        cursor = self.connection.cursor()
        sql = "SELECT 1, 'a'; UPDATE things SET big = 3 WHERE id = 1; SELECT 2; SELECT 3 WHERE FALSE"
        show("several", list(self.driver.results_of(cursor, sql)))
        cursor.close()
        cursor = self.connection.cursor()
        show("stops at", error(lambda: list(self.driver.results_of(cursor, "SELECT 1; SELEKT; SELECT 2"))))
        self.connection.rollback()

    def load(self):
        if not self.driver.load_local:
            return
        run(self.connection, "CREATE TABLE loaded (n INT, line VARCHAR(50))")
        with tempfile.NamedTemporaryFile("w", suffix=".tsv", delete=False) as file:
            file.writelines(f"{n}\tline {n}\n" for n in range(20000))
        sql = f"LOAD DATA LOCAL INFILE '{file.name}' INTO TABLE loaded"
        show("load", run(self.connection, sql)[0])
        self.connection.commit()
        show("loaded", rows(self.connection, "SELECT COUNT(*), SUM(n), MAX(line) FROM loaded"))
        os.unlink(file.name)
        missing = "LOAD DATA LOCAL INFILE '/nonexistent/file' INTO TABLE loaded"
        show("load of nothing", error(lambda: run(self.connection, missing))[0])
        # What the driver does after that is its own affair: go on with a new connection.
        self.connection.close()
        self.connection = self.driver.connect(self.where)

    def streams(self):
        numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {})"
        sql = numbers.format(900) + " SELECT i, REPEAT('x', 1000) FROM n"
        cursor = self.driver.streaming_cursor(self.connection)
        cursor.execute(sql)
        total = 0
        while row := cursor.fetchone():
            total += row[0] + len(row[1])
        show("streamed", total)
        cursor.close()
        other = self.driver.connect(self.where)
        cursor = self.driver.streaming_cursor(other)
        cursor.execute(sql)
        show("abandoned", cursor.fetchone()[0])
        error(cursor.close)
        error(other.close)
        show("unharmed", rows(self.connection, "SELECT 1"))

    def prepared(self):
        if not self.driver.prepares:
            return
        cursor = self.driver.prepared_cursor(self.connection)
        for values in [(1, "a"), (2, None), (None, UNICODE), (-5, "b" * 300)]:
            cursor.execute("SELECT ?, ?", values)
            show("prepared", [cursor.description, cursor.fetchall()])
        cursor.close()
        cursor = self.driver.prepared_cursor(self.connection)
        cursor.execute("SELECT * FROM things ORDER BY id LIMIT ?", (3,))
        show("prepared rows", cursor.fetchall())
        cursor.close()
        cursor = self.driver.prepared_cursor(self.connection)
        cursor.execute("INSERT INTO things (name, data) VALUES (?, ?)", ("long", b"d" * MEBIBYTE))
        show("prepared insert", [cursor.rowcount, cursor.lastrowid])
        cursor.close()
        show("bad statement", error(lambda: self.driver.prepared_cursor(self.connection).execute("SELEKT ?", (1,))))
        self.connection.rollback()

    def killing(self):
        other = self.driver.connect(self.where)
        run(self.connection, f"KILL {self.driver.thread_id(other)}")
        show("killed", error(lambda: rows(other, "SELECT 1"))[0])
        error(other.close)
        show("kill of nothing", error(lambda: run(self.connection, "KILL 4294967290")))
        self.connection.rollback()

    def resets(self):
        run(self.connection, "SET @gone = 1")
        if self.driver.reset(self.connection) is not NotImplemented:
            show("reset", rows(self.connection, "SELECT @gone, DATABASE()"))
        run(self.connection, "SET @gone = 1")
        if self.driver.reconnect_as(self.connection, self.where) is not NotImplemented:
            show("changed user", rows(self.connection, "SELECT @gone, CURRENT_USER(), DATABASE()"))

    def tell(self):
        for chapter in [
            self.greeting, self.refusals, self.tables, self.sizes, self.transactions, self.errors,
            self.state, self.warnings, self.routines, self.several, self.load, self.streams,
            self.prepared, self.killing, self.resets,
        ]:
            print(f"# {chapter.__name__}", flush=True)
            chapter()
        self.connection.close()
        print("# the end")


def main(driver):
    host, port, user, password, database, tls, heavy = sys.argv[1:]
    where = Where(host, int(port), user, password, database, tls, heavy == "heavy")
    try:
        Story(driver, where).tell()
    except Exception:  # noqa: BLE001: the trace belongs to the output, wherever it ended
        traceback.print_exc()
        sys.exit(1)
