// The story through serverless-mysql, the driver that Millpond makes unnecessary: it counts the
// server's connections, kills those it takes for dead, and backs off when there are too many.
'use strict';

const factory = require('serverless-mysql');
const { where, heavy, show, failure, tell } = require('./story.js');

const fresh = (overrides) => factory({ config: { ...where, ...overrides }, maxRetries: 3 });
const database = fresh();

async function greeting() {
  show('identity', await database.query('SELECT CURRENT_USER() u, DATABASE() d, VERSION() v'));
  show('wrong password', await failure(fresh({ password: 'wrong' }).query('SELECT 1')));
  show('unknown database', await failure(fresh({ database: 'app_nosuch' }).query('SELECT 1')));
}

async function queries() {
  await database.query('CREATE TABLE things (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50) UNIQUE, data LONGBLOB)');
  const done = await database.query('INSERT INTO things (name) VALUES (?)', ['ü🐬']);
  show('insert', [done.affectedRows, done.insertId]);
  show('select', await database.query('SELECT * FROM things WHERE name = ?', ['ü🐬']));
  show('null', await database.query('SELECT NULL n, ? e', ['']));
  const data = Buffer.alloc(heavy ? 17 << 20 : 1 << 20, 'x');
  await database.query('INSERT INTO things (data) VALUES (?)', [data]);
  show('large', await database.query('SELECT data FROM things WHERE data IS NOT NULL'));
  show('syntax', await failure(database.query('SELEKT')));
  await database.end();
}

async function transactions() {
  const results = await database.transaction()
    .query('INSERT INTO things (name) VALUES (?)', ['one'])
    .query((r) => ['UPDATE things SET name = ? WHERE id = ?', ['two', r.insertId]])
    .commit();
  show('committed', results.map((r) => r.affectedRows));
  let reason;
  const failed = await failure(database.transaction()
    .query('INSERT INTO things (name) VALUES (?)', ['three'])
    .query('INSERT INTO things (name) VALUES (?)', ['two'])
    .rollback((error) => { reason = error.code; })
    .commit());
  show('rolled back', [failed, reason]);
  show('left', await database.query('SELECT name FROM things WHERE name IS NOT NULL ORDER BY name'));
  await database.end();
}

// What a frozen and thawed function does, many times over.
async function invocations() {
  for (let n = 0; n < 20; n += 1) {
    const rows = await database.query('SELECT ? AS n', [n]);
    await database.end();
    if (rows[0].n !== n) throw new Error(`${rows[0].n} is not ${n}`);
  }
  show('zombies', (await database.getCounter()) >= 0);
  const limits = await database.query('SELECT @@max_connections > 0 AS m, @@wait_timeout > 0 AS w');
  show('limits', limits);
  await database.quit();
}

tell([greeting, queries, transactions, invocations]);
