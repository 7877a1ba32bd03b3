import pino from 'pino';
import { startEmbeddedPostgres } from '../../src/engines/embedded/postgres/supervisor.ts';

/** An engine that is nothing but its Postgres: says where it is, and stops when its input ends. */
try {
  const server = await startEmbeddedPostgres({
    dataFolder: process.argv[2]!,
    logger: pino({ level: 'silent' }),
  });
  process.stdout.write(`${JSON.stringify({ url: server.url, pid: server.pid() })}\n`);
  process.stdin.on('end', () => void server.stop()).resume();
} catch (error) {
  process.stdout.write(`${JSON.stringify({ refused: (error as Error).message })}\n`);
}
