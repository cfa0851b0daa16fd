'use strict';
// An ordinary application with mysql2's prepared statements and its pool.

const assert = require('node:assert');
const mysql = require('mysql2/promise');

const [host, port, user, password, database] = process.argv.slice(2);

async function main() {
  const pool = mysql.createPool({ host, port, user, password, database, connectionLimit: 4 });
  await pool.query('CREATE TABLE visits (id INT AUTO_INCREMENT PRIMARY KEY, who VARCHAR(50) UNIQUE, n INT)');
  for (let round = 0; round < 15; round++) {
    await Promise.all([0, 1, 2, 3].map(async (at) => {
      const who = `gäst ${round * 4 + at}`;
      const [made] = await pool.execute('INSERT INTO visits (who, n) VALUES (?, ?)', [who, at]);
      const [rows] = await pool.execute('SELECT id, n FROM visits WHERE who = ?', [who]);
      assert.deepStrictEqual(rows.map((row) => row.id), [made.insertId]);
      await assert.rejects(pool.execute('INSERT INTO visits (who) VALUES (?)', [who]), { errno: 1062 });
      const [changed] = await pool.execute('UPDATE visits SET n = n + ? WHERE id = ?', [1, made.insertId]);
      assert.strictEqual(changed.affectedRows, 1);
    }));
    const connection = await pool.getConnection();
    await connection.beginTransaction();
    await connection.execute('UPDATE visits SET n = 0 WHERE who LIKE ?', ['g%']);
    const [[{ open }]] = await connection.execute('SELECT COUNT(*) AS open FROM visits WHERE n = ?', [0]);
    assert.strictEqual(open, round * 4 + 4);
    await (round % 2 ? connection.commit() : connection.rollback());
    connection.release();
  }
  await pool.query('DROP TABLE visits');
  await pool.end();
  console.log('# the end');
}

main();
