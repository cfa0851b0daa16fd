// The story through mysql2.
'use strict';

const { Readable } = require('node:stream');
const mysql = require('mysql2');
const { where, heavy, show, failure, columns, tell } = require('./story.js');

const promises = require('mysql2/promise');
const connect = (overrides) => promises.createConnection({ ...where, ...overrides });
const UNICODE = 'Grüße, κόσμε, 世界, 🐬 \\ \' " \0 %';
let connection;

async function greeting() {
  connection = await connect();
  const [rows] = await connection.query('SELECT CURRENT_USER() u, DATABASE() d, VERSION() v');
  const [own] = await connection.query('SELECT CONNECTION_ID() AS id');
  show('id is the driver\'s', own[0].id === connection.threadId);
  show('identity', rows);
  const isolation = rows[0].v.includes('MariaDB') ? '@@tx_isolation' : '@@transaction_isolation';
  show('session', (await connection.query(
    `SELECT @@autocommit, @@character_set_client, @@collation_connection, @@sql_mode, @@time_zone, ${isolation}`,
  ))[0]);
  await connection.ping();
}

async function refusals() {
  show('wrong password', await failure(connect({ password: 'wrong' })));
  show('empty password', await failure(connect({ password: '' })));
  show('unknown database', await failure(connect({ database: 'app_nosuch' })));
  show('forbidden database', await failure(connect({ database: 'mysql' })));
}

async function tables() {
  await connection.query(
    'CREATE TABLE things (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(100) CHARACTER SET utf8mb4,'
    + ' price DECIMAL(12,4), ratio DOUBLE, small TINYINT, big BIGINT, at DATETIME(3), span TIME, doc JSON,'
    + ' data LONGBLOB, UNIQUE KEY name (name))',
  );
  const insert = 'INSERT INTO things (name, price, ratio, small, big, at, span, doc, data) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)';
  const values = [UNICODE, '1234.5678', 0.1, -128, '-9223372036854775808', '1999-12-31 23:59:59.999', '-30:01:00', '{"a": [1, null]}', Buffer.from([0, 1, 255])];
  show('insert by text', (await connection.query(insert, values))[0]);
  values[0] = 'other';
  show('insert prepared', (await connection.execute(insert, values))[0]);
  show('insert nulls', (await connection.execute(insert, values.map(() => null)))[0]);
  show('last id', (await connection.query('SELECT LAST_INSERT_ID() id'))[0]);
  show('insert many', (await connection.query('INSERT INTO things (name, big) VALUES ?', [[...Array(50).keys()].map((n) => [`n${n}`, n])]))[0]);
  for (const way of ['query', 'execute']) {
    const [rows, fields] = await connection[way]('SELECT * FROM things WHERE id <= ? ORDER BY id', [3]);
    show(`columns by ${way}`, columns(fields));
    show(`rows by ${way}`, rows);
    show(`none by ${way}`, (await connection[way]('SELECT * FROM things WHERE id = ?', [0]))[0]);
    show(`update by ${way}`, (await connection[way]('UPDATE things SET big = ? WHERE big >= 40', [way.length]))[0]);
  }
  show('as arrays', (await connection.query({ sql: 'SELECT id, name FROM things ORDER BY id LIMIT 2', rowsAsArray: true }))[0]);
}

async function statements() {
  const one = await connection.prepare('SELECT ? + ? AS sum');
  const two = await connection.prepare('SELECT id FROM things WHERE name = ?');
  for (let n = 0; n < 5; n += 1) {
    show(`one ${n}`, (await one.execute([n, 1]))[0]);
    show(`two ${n}`, (await two.execute([`n${n}`]))[0]);
  }
  await one.close();
  show('still', (await two.execute(['n7']))[0]);
  await two.close();
  show('bad', await failure(connection.prepare('SELEKT ?')));
  // The driver keeps what it prepared by `execute`, and runs it again by its number.
  for (const value of [1, 'text', null, 1.5, new Date(0)]) {
    show(`again ${value === null ? null : typeof value}`, (await connection.execute('SELECT ? AS v, CONNECTION_ID() > 0 AS c', [value]))[0]);
  }
  connection.unprepare('SELECT ? AS v, CONNECTION_ID() > 0 AS c');
}

async function sizes() {
  const lengths = [0, 250, 251, 65535, 65536, 1 << 20, ...(heavy ? [(1 << 24) - 1, 17 << 20] : [])];
  for (const length of lengths) {
    const data = Buffer.alloc(length, 'abcdefghij');
    show(`${length} bytes in`, (await connection.query('INSERT INTO things (name, data) VALUES (?, ?)', [`size ${length}`, data]))[0].affectedRows);
    show(`${length} bytes out`, (await connection.execute('SELECT data, LENGTH(data) length FROM things WHERE name = ?', [`size ${length}`]))[0]);
  }
}

async function transactions() {
  const other = await connect();
  const count = 'SELECT COUNT(*) n FROM things WHERE name LIKE "trx%"';
  await connection.beginTransaction();
  await connection.execute('INSERT INTO things (name) VALUES (?)', ['trx 1']);
  show('inside', (await connection.query(count))[0]);
  show('outside', (await other.query(count))[0]);
  await connection.rollback();
  show('rolled back', (await connection.query(count))[0]);
  await connection.beginTransaction();
  await connection.query('INSERT INTO things (name) VALUES ("trx 2")');
  show('duplicate', await failure(connection.query('INSERT INTO things (name) VALUES ("trx 2")')));
  await connection.commit();
  show('committed', (await other.query(count))[0]);
  await other.end();
}

async function state() {
  const other = await connect();
  await connection.query('SET @a = 5, time_zone = "+01:00"');
  await connection.query('CREATE TEMPORARY TABLE scratch SELECT 1 AS x');
  show('own', (await connection.query('SELECT @a a, @@time_zone z, x FROM scratch'))[0]);
  show('other', (await other.query('SELECT @a a, @@time_zone z'))[0]);
  show('no table', await failure(other.query('SELECT * FROM scratch')));
  await other.changeUser({ database: undefined });
  show('changed user', (await other.query('SELECT @a a, CURRENT_USER() u, DATABASE() d'))[0]);
  await connection.changeUser({ ...where });
  show('forgotten', (await connection.query('SELECT @a a, @@time_zone = "+01:00" z, DATABASE() d'))[0]);
  show('no more table', await failure(connection.query('SELECT * FROM scratch')));
  await connection.query('INSERT INTO things (small) VALUES (1)');
  await connection.query('SET sql_mode = ""');
  show('warned', (await connection.query('INSERT INTO things (small) VALUES (1000)'))[0]);
  show('warnings', (await connection.query('SHOW WARNINGS'))[0]);
  await connection.query('SET sql_mode = DEFAULT');
  await other.end();
}

async function several() {
  const multi = await connect({ multipleStatements: true });
  show('several', (await multi.query('SELECT 1 a; UPDATE things SET big = 3 WHERE id = 1; SELECT 2 b'))[0]);
  show('stops', await failure(multi.query('SELECT 1; SELEKT; SELECT 2')));
  show('after', (await multi.query('SELECT 3 c'))[0]);
  await multi.end();
  show('not allowed', (await failure(connection.query('SELECT 1; SELECT 2'))).slice(0, 3));
  await connection.query('CREATE PROCEDURE p (IN a INT) BEGIN SELECT a; SELECT a + 1 AS b, "x" AS c; END');
  show('call by text', (await connection.query('CALL p(3)'))[0]);
  show('call prepared', (await connection.execute('CALL p(?)', [4]))[0]);
  show('syntax', await failure(connection.query('SELEKT')));
  show('no table', await failure(connection.execute('SELECT * FROM nosuch WHERE a = ?', [1])));
}

async function load() {
  await connection.query('CREATE TABLE loaded (n INT, line VARCHAR(50))');
  const lines = [...Array(20000).keys()].map((n) => Buffer.from(`${n}\tline ${n}\n`));
  const [done] = await connection.query({
    sql: 'LOAD DATA LOCAL INFILE "ignored" INTO TABLE loaded',
    infileStreamFactory: () => Readable.from(lines),
  });
  show('load', [done.affectedRows, done.info]);
  show('loaded', (await connection.query('SELECT COUNT(*) n, SUM(n) s FROM loaded'))[0]);
}

async function streams() {
  const raw = mysql.createConnection(where);
  let total = 0;
  for await (const row of raw.query('SELECT n, REPEAT("x", 1000) x FROM loaded LIMIT 3000').stream()) total += row.n + row.x.length;
  show('streamed', total);
  // Several commands queued at once, by the driver one after the other.
  const answers = await Promise.all([1, 2, 3].map((n) => raw.promise().query('SELECT ? n', [n])));
  show('queued', answers.map(([rows]) => rows));
  await raw.promise().end();
}

async function killing() {
  const other = await connect();
  other.on('error', () => {});
  await connection.query('KILL ?', [other.threadId]);
  const [code] = await failure(other.query('SELECT 1'));
  show('killed', code !== 'no error');
  other.destroy();
  show('kill of nothing', await failure(connection.query('KILL 4294967290')));
}

async function pools() {
  const pool = promises.createPool({ ...where, connectionLimit: 5 });
  const answers = await Promise.all([...Array(40).keys()].map((n) => pool.execute('SELECT ? AS n, DATABASE() d', [n])));
  show('pooled', answers.map(([rows]) => rows[0].n));
  await pool.end();
  await connection.end();
}

tell([greeting, refusals, tables, statements, sizes, transactions, state, several, load, streams, killing, pools]);
