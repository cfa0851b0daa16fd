'use strict';
// An ordinary application with Knex over mysql2.

const assert = require('node:assert');

const [host, port, user, password, database] = process.argv.slice(2);
const connection = { host, port: Number(port), user, password, database };
const knex = require('knex')({ client: 'mysql2', connection, pool: { min: 0, max: 4 } });

async function main() {
  await knex.schema.createTable('tasks', (table) => {
    table.increments('id');
    table.string('name', 50).unique();
    table.integer('state').defaultTo(0);
    table.timestamps(true, true);
  });
  for (let number = 0; number < 20; number++) {
    const name = `uppgift ${number}`;
    const [id] = await knex('tasks').insert({ name });
    assert.strictEqual((await knex('tasks').where({ name }).first()).id, id);
    await assert.rejects(knex('tasks').insert({ name }), { errno: 1062 });
    await knex('tasks').insert({ name, state: 2 }).onConflict('name').merge();
    await knex.transaction(async (trx) => {
      await trx('tasks').where({ id }).increment('state', 1).forUpdate();
      await trx.transaction((inner) => inner('tasks').where({ id }).update({ state: 4 }));
    });
    await assert.rejects(knex.transaction(async (trx) => {
      await trx('tasks').del();
      throw new Error('no');
    }), /no/);
    const [{ open }] = await knex('tasks').where({ state: 4 }).count({ open: '*' });
    assert.strictEqual(Number(open), number + 1);
  }
  await knex.schema.alterTable('tasks', (table) => table.string('note'));
  await knex.schema.dropTable('tasks');
  await knex.destroy();
  console.log('# the end');
}

main();
