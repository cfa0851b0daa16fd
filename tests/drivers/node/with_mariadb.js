// The story through MariaDB's connector, which pipelines, sends values in bulk and keeps prepared
// statements of its own.
'use strict';

const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const mariadb = require('mariadb');
const { where: place, show, failure, tell } = require('./story.js');

const where = { ...place, allowPublicKeyRetrieval: true, permitLocalInfile: true, checkDuplicate: false };
const connect = (overrides) => mariadb.createConnection({ ...where, ...overrides });
const UNICODE = 'Grüße, κόσμε, 世界, 🐬 \\ \' " \0 %';
const described = (meta) => meta.map((c) => [c.name(), c.orgName(), c.orgTable(), c.type, c.columnLength, c.flags, c.collation?.name, c.scale]);
let connection;
let maria;

async function greeting() {
  connection = await connect();
  maria = connection.info.isMariaDB();
  show('version', connection.serverVersion());
  const rows = await connection.query('SELECT CURRENT_USER() u, DATABASE() d, @@collation_connection c, @@sql_mode m, @@autocommit a');
  show('identity', [rows, described(rows.meta)]);
  const own = await connection.query('SELECT CONNECTION_ID() AS id');
  show('id is the driver\'s', Number(own[0].id) === connection.threadId);
  await connection.ping();
  show('valid', connection.isValid());
}

async function values() {
  await connection.query(`CREATE TABLE things (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(100) UNIQUE,
    big BIGINT UNSIGNED, price DECIMAL(20,5), at DATETIME(6), day DATE, clock TIME(3), data LONGBLOB, doc JSON, bits BIT(9), sort ENUM('a','b'), some SET('x','y'), place GEOMETRY) CHARACTER SET utf8mb4`);
  const all = [UNICODE, 18446744073709551615n, '12345678901234.56789', new Date(Date.UTC(2024, 1, 29, 1, 2, 3)), '2024-02-29', '-838:59:59.000', Buffer.from([0, 1, 255]), '{"a": [1, null]}', Buffer.from([1, 3]), 'b', 'x,y', { type: 'Point', coordinates: [10, 20] }];
  const insert = `INSERT INTO things (name, big, price, at, day, clock, data, doc, bits, sort, some, place) VALUES (${all.map(() => '?').join()})`;
  show('by text', await connection.query(insert, all));
  all[0] += ' 2';
  show('prepared', await failure(connection.execute(insert, all)));
  all[0] += ' 3';
  all[11] = null;
  show('prepared without a place', await failure(connection.execute(insert, all)));
  for (const read of ['query', 'execute']) {
    for (const options of [{}, { rowsAsArray: true, bigIntAsNumber: false, dateStrings: true }, { nestTables: '_', insertIdAsNumber: true, decimalAsNumber: true, bitOneIsBoolean: true }]) {
      const rows = await connection[read]({ sql: 'SELECT * FROM things ORDER BY id', ...options });
      show(`${read} ${Object.keys(options)}`, [rows, described(rows.meta)]);
    }
  }
  show('named', await connection.query({ sql: 'SELECT :b b, :a a, ":a" c', namedPlaceholders: true }, { a: 1, b: UNICODE }));
  show('with metadata', await connection.query({ sql: 'SELECT 1 a, "b" b', metaAsArray: true, rowsAsArray: true }));
}

async function bulk() {
  await connection.query('CREATE TABLE rows_of (id INT AUTO_INCREMENT PRIMARY KEY, n INT NULL, t TEXT) CHARACTER SET utf8mb4');
  const some = [[1, 'one'], [2, UNICODE], [null, null], [4, 'x'.repeat(5000)]];
  show('batch', await connection.batch('INSERT INTO rows_of (n, t) VALUES (?, ?)', some));
  show('batch, results each', await connection.batch({ sql: 'INSERT INTO rows_of (n, t) VALUES (?, ?)', fullResult: true }, some));
  show('batch, not in bulk', await connection.batch({ sql: 'INSERT INTO rows_of (n, t) VALUES (?, ?)', bulk: false }, some));
  show('batch of updates', await connection.batch('UPDATE rows_of SET n = n + ? WHERE id = ?', [[10, 1], [20, 2], [30, 999]]));
  show('batch of deletes', await connection.batch('DELETE FROM rows_of WHERE id = ?', [[3], [4], [998]]));
  show('batch that fails', (await failure(connection.batch('INSERT INTO rows_of (id, n) VALUES (?, ?)', [[100, 1], [101, 2], [100, 3], [102, 4]]))).slice(0, 3));
  show('batch of changing types', await connection.batch('INSERT INTO rows_of (n, t) VALUES (?, ?)', [[1, 'a'], ['2', 3], [3.5, Buffer.from('b')], [null, new Date(0)]]));
  const long = [...Array(3000).keys()].map((n) => [n, 'long '.repeat(200)]);
  const done = await connection.batch('INSERT INTO rows_of (n, t) VALUES (?, ?)', long);
  show('long batch', [done.affectedRows, done.warningStatus]);
  if (maria) show('batch that returns', await connection.batch('INSERT INTO rows_of (n, t) VALUES (?, ?) RETURNING id, n', [[7, 'r'], [8, 's']]));
  show('sums', await connection.query('SELECT COUNT(*) n, SUM(n) s, MAX(id) m, SUM(CRC32(t)) c FROM rows_of'));
  await connection.query('SET @batch = 0');
  show('batch with a variable', await connection.batch('INSERT INTO rows_of (n, t) VALUES (@batch := @batch + ?, "v")', [[1], [2], [3]]));
  show('variable', await connection.query('SELECT @batch, (SELECT SUM(n) FROM rows_of WHERE t = "v") s'));
}

async function prepared() {
  const statement = await connection.prepare('SELECT ? a, n FROM rows_of WHERE id = ?');
  show('described', [statement.parameterCount, described(statement.columns ?? [])]);
  show('first', await statement.execute([1, 1]));
  show('text now', await statement.execute(['one', 1]));
  show('null now', await statement.execute([null, 2]));
  await connection.query('ALTER TABLE rows_of MODIFY n VARCHAR(20)');
  show('altered', await statement.execute([1, 1]));
  let streamed = 0;
  for await (const row of statement.executeStream([2, 1])) streamed += Number(row.a);
  show('streamed', streamed);
  statement.close();
  show('closed', (await failure(statement.execute([1, 1]))).slice(0, 3));
  const same = await Promise.all([...Array(30).keys()].map((n) => connection.execute('SELECT ? n, ? m', [n, `m ${n}`])));
  show('cached', same.map(([row]) => [row.n, row.m]));
  // More than the driver keeps.
  for (let n = 0; n < 300; n += 1) await connection.execute(`SELECT ${n} + ? n`, [n]);
  show('evicted', await connection.execute('SELECT 0 + ? n', [5]));
  await connection.query('ALTER TABLE rows_of MODIFY n INT');
  show('too few', (await failure(connection.execute('SELECT ? + ? n', [5]))).slice(0, 3));
  show('refused', await failure(connection.prepare('SELEKT ?')));
}

async function pipelined() {
  const queued = [
    connection.query('SET @p = 1'), connection.query('SELECT @p p'), connection.execute('SELECT ? q', [2]),
    connection.query('SELEKT'), connection.beginTransaction(), connection.query('INSERT INTO rows_of (n) VALUES (77)'),
    connection.query('SELECT LAST_INSERT_ID() = MAX(id) l, ROW_COUNT() r FROM rows_of'), connection.execute('SELECT * FROM nosuch WHERE a = ?', [1]),
    connection.rollback(), connection.query('SELECT COUNT(*) n FROM rows_of WHERE n = 77'), connection.ping(),
  ];
  for (const [at, result] of (await Promise.allSettled(queued)).entries()) {
    show(`queued ${at}`, result.status === 'fulfilled' ? result.value : [result.reason.errno, result.reason.sqlState]);
  }
  const slow = await connect({ pipelining: false });
  show('one by one', await Promise.all([1, 2, 3].map((n) => slow.query('SELECT ? n', [n]))));
  await slow.end();
}

async function several() {
  const multi = await connect({ multipleStatements: true });
  show('several', await multi.query('SELECT 1 a; INSERT INTO rows_of (n) VALUES (5); SELECT 2 b; DO 1'));
  show('stops', (await failure(multi.query('SELECT 1; SELEKT; SELECT 2'))).slice(0, 3));
  show('batch', await multi.batch('INSERT INTO rows_of (n, t) VALUES (?, ?)', [[1, 'm'], [2, 'n']]));
  await multi.query('CREATE PROCEDURE p (IN a INT, OUT b INT) BEGIN SELECT a; SET b = a + 1; END');
  show('call', await multi.query('CALL p(3, @out)'));
  show('out', await multi.query('SELECT @out'));
  show('call prepared', await failure(multi.execute('CALL p(?, ?)', [4, null])));
  await multi.end();
}

async function sessions() {
  const other = await connect({ initSql: ['SET @begun = 5', 'SET SESSION div_precision_increment = 7'], sessionVariables: { wait_timeout: 1234, sql_mode: 'ANSI' } });
  const seen = 'SELECT @begun b, @@div_precision_increment d, @@wait_timeout w, @@sql_mode m, DATABASE() db, CURRENT_USER() u';
  show('begun', await other.query(seen));
  await other.reset();
  show('reset', await other.query(seen));
  await other.query('SET @begun = 6');
  if (maria) {
    await other.changeUser({ user: where.user, password: where.password, database: where.database });
    show('changed', await other.query(seen));
    show('refused', (await failure(other.changeUser({ user: where.user, password: 'wrong' }))).slice(1, 3));
  }
  await other.end().catch(() => other.destroy());
  const named = await connect({ database: undefined, foundRows: false, connectAttributes: { program: 'story' }, compress: true, collation: 'LATIN1_SWEDISH_CI', timezone: 'Z' });
  show('otherwise', await named.query('SELECT DATABASE() d, @@collation_connection c, @@time_zone z, "é" e'));
  await named.importFile({ file: script(), database: where.database });
  show('imported', await named.query(`SELECT * FROM ${where.database}.imported ORDER BY a`));
  show('same rows', await named.query(`UPDATE ${where.database}.imported SET a = a`));
  await named.end();
}

// A file of statements, as it is imported; another of lines, as it is loaded.
function script() {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'story-')), 'script.sql');
  fs.writeFileSync(file, 'CREATE TABLE imported (a INT);\n-- a comment; \nINSERT INTO imported VALUES (1);\n/* ; */ INSERT INTO imported VALUES (2), (3);\n');
  return file;
}

async function transfers() {
  const file = path.join(fs.mkdtempSync(path.join(os.tmpdir(), 'story-')), 'lines');
  fs.writeFileSync(file, [...Array(20000).keys()].map((n) => `${n}\tline ${n}\n`).join(''));
  await connection.query('CREATE TABLE loaded (n INT, line VARCHAR(50))');
  show('load', await connection.query('LOAD DATA LOCAL INFILE ? INTO TABLE loaded', [file]));
  let total = 0;
  for await (const row of connection.queryStream('SELECT n, REPEAT("x", 500) x FROM loaded')) total += row.n + row.x.length;
  show('streamed', total);
}

async function pools() {
  const pool = mariadb.createPool({ ...where, connectionLimit: 4, resetAfterUse: true });
  const answers = await Promise.all([...Array(30).keys()].map((n) => pool.query('SELECT ? n, DATABASE() d', [n])));
  show('pooled', answers.map(([row]) => row.n));
  show('batch', await pool.batch('INSERT INTO rows_of (n, t) VALUES (?, ?)', [[1, 'p'], [2, 'q']]));
  await pool.end();
  // One connection, so that it is the same that is taken again.
  const single = mariadb.createPool({ ...where, connectionLimit: 1, resetAfterUse: true });
  const one = await single.getConnection();
  await one.query('SET @mine = 1');
  await one.beginTransaction();
  await one.query('INSERT INTO rows_of (n, t) VALUES (1, "left")');
  await one.release();
  show('given back', await single.query('SELECT COUNT(*) n, @mine m FROM rows_of WHERE t = "left"'));
  await single.end();
  show('timed out', (await failure(connection.query({ sql: 'SELECT SLEEP(3)', timeout: 100 }))).slice(0, 3));
  show('still there', await connection.query('SELECT 1 a'));
  const other = await connect();
  other.on('error', () => {});
  await connection.query('KILL ?', [other.threadId]);
  show('killed', (await failure(other.query('SELECT 1')))[0] !== 'no error');
  other.destroy();
  await connection.end();
}

tell([greeting, values, bulk, prepared, pipelined, several, sessions, transfers, pools]);
