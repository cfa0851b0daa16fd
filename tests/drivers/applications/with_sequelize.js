'use strict';
// An ordinary application with Sequelize.

const assert = require('node:assert');
const { DataTypes, Sequelize, Transaction } = require('sequelize');

const [host, port, username, password, database] = process.argv.slice(2);

async function main() {
  const sequelize = new Sequelize(database, username, password, {
    dialect: 'mysql', host, port, logging: false, pool: { max: 4 },
  });
  const Author = sequelize.define('author', { name: { type: DataTypes.STRING(50), unique: true } });
  const Book = sequelize.define('book', { title: DataTypes.STRING(100) });
  Author.hasMany(Book);
  Book.belongsTo(Author);
  await sequelize.sync({ force: true });
  for (let number = 0; number < 20; number++) {
    const name = `Författare ${number}`;
    const author = await Author.create({ name, books: [{ title: 'Första' }, { title: 'Andra' }] }, { include: Book });
    assert.ok(author.id && author.books[0].authorId === author.id);
    await assert.rejects(Author.create({ name }), { name: 'SequelizeUniqueConstraintError' });
    await sequelize.transaction(async (transaction) => {
      const [found, made] = await Author.findOrCreate({ where: { name }, transaction });
      assert.ok(found.id === author.id && !made);
      await Book.update({ title: 'Tredje' }, { where: { authorId: author.id }, transaction });
    });
    // Whose level holds for this transaction only.
    const isolationLevel = Transaction.ISOLATION_LEVELS.SERIALIZABLE;
    await sequelize.transaction({ isolationLevel }, (transaction) => Author.count({ transaction }));
    const [all, count] = await Promise.all([Author.findAll({ include: Book }), Book.count()]);
    assert.ok(all.length === number + 1 && count === 2 * all.length);
  }
  await Book.destroy({ where: { title: 'Tredje' } });
  assert.strictEqual(await Book.count(), 0);
  await sequelize.drop();
  await sequelize.close();
  console.log('# the end');
}

main();
