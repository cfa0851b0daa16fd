// What the stories of both Node drivers share: the command line, and how results are printed.
// See ../python/story.py for the rules: nothing that differs from run to run is printed.
'use strict';

const crypto = require('node:crypto');

const [host, port, user, password, database, tls, size] = process.argv.slice(2);

const where = { host, port: Number(port), user, password, database };
// The server's certificate is self-signed; verifying it is not what this is about.
if (tls === 'on') where.ssl = { rejectUnauthorized: false };

function plain(value) {
  if (Buffer.isBuffer(value)) {
    if (value.length <= 200) return `0x${value.toString('hex')}`;
    const hash = crypto.createHash('sha256').update(value).digest('hex').slice(0, 16);
    return `${value.length} bytes ${hash}`;
  }
  if (typeof value === 'bigint') return `${value}n`;
  if (value instanceof Date || value === null || typeof value !== 'object') return value;
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, plain(part)]));
}

function show(step, value) {
  // Dates serialize to UTC by themselves.
  console.log(`${step}: ${JSON.stringify(plain(value))}`);
}

// The error that a promise ends with.
async function failure(promise) {
  try {
    return ['no error', await promise];
  } catch (error) {
    return [error.code, error.errno, error.sqlState, error.sqlMessage || error.message];
  }
}

function columns(fields) {
  return fields.map((f) => [f.name, f.columnType ?? f.type, f.columnLength, f.flags, f.characterSet, f.decimals, f.table]);
}

function tell(chapters) {
  (async () => {
    for (const chapter of chapters) {
      console.log(`# ${chapter.name}`);
      await chapter();
    }
    console.log('# the end');
  })().catch((error) => {
    console.error(error);
    process.exit(1);
  });
}

module.exports = { where, heavy: size === 'heavy', show, failure, columns, tell };
