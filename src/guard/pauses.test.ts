import { describe, expect, it } from 'vitest';
import { createPauses } from './pauses.ts';

describe('the pauses of a loop', () => {
  it('end in time', async () => {
    await createPauses().pause(1);
  });

  it('end all at once when woken, and the next one lasts again', async () => {
    const pauses = createPauses();
    const both = Promise.all([pauses.pause(60_000), pauses.pause(60_000)]);
    pauses.wake();
    await both;
    let ended = false;
    const third = pauses.pause(60_000).then(() => {
      ended = true;
    });
    await new Promise(setImmediate);
    expect(ended).toBe(false);
    pauses.stop();
    await third;
  });

  it('do not begin any more once stopped', async () => {
    const pauses = createPauses();
    pauses.stop();
    await pauses.pause(Number.POSITIVE_INFINITY);
    expect(pauses.stopped).toBe(true);
  });
});
