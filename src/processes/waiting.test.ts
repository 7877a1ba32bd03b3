import { afterEach, expect, it } from 'vitest';
import { freePort } from '../../tools/services.ts';
import { answerWhileWaiting, type Waiting } from './waiting.ts';

let waiting: Waiting | undefined;
afterEach(() => waiting?.close());

const places = async () => ({
  port: await freePort(),
  host: '127.0.0.1',
  opsPort: await freePort(),
  opsHost: '127.0.0.1',
});

it('is alive on both ports, and not ready, and leaves them when the process is there', async () => {
  const config = await places();
  waiting = await answerWhileWaiting(config);
  for (const port of [config.port, config.opsPort]) {
    const of = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
    for (const path of ['/livez', '/healthz']) expect(await (await of(path)).json()).toEqual({ alive: true });
    const ready = await of('/readyz');
    expect(ready.status).toBe(503);
    expect(await ready.json()).toMatchObject({ ready: false });
    const other = await of('/v1/wallet?x=1');
    expect([other.status, other.headers.get('retry-after')]).toEqual([503, '1']);
    expect(await other.json()).toMatchObject({ code: 'control-unavailable', retryable: true });
  }
  await waiting.close();
  waiting = await answerWhileWaiting(config);
});

it('says when a port is taken, and keeps none', async () => {
  const config = await places();
  waiting = await answerWhileWaiting(config);
  const other = { ...config, port: await freePort() };
  await expect(answerWhileWaiting(other)).rejects.toMatchObject({ code: 'EADDRINUSE' });
  await waiting.close();
  waiting = await answerWhileWaiting(other);
});
