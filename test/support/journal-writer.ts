import pino from 'pino';
import { openJournal } from '../../src/engines/embedded/journal/index.ts';
import { batchOf } from './batches.ts';
import { anOrder } from './orders.ts';

/** Appends as fast as it can and prints each acknowledged sequence, until it is killed. Record n is person n. */
const log = await openJournal({
  folder: process.argv[2]!,
  logger: pino({ level: 'silent' }),
  segmentBytesMax: 20_000,
});
process.stdout.write(`${log.end()}\n`);
for (let next = log.end() + 1; ; next += 8) {
  const people = Array.from({ length: 8 }, (_, at) => next + at);
  const appended = people.map((person) =>
    log.append(batchOf([anOrder({ person })], { ciphertexts: [Buffer.alloc(150)] })),
  );
  const last = (await Promise.all(appended)).at(-1)!;
  process.stdout.write(`${last}\n`);
}
