import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Signals } from '../../src/engines/ports.ts';
import { until } from '../support/rig.ts';

/** One way of announcements, as two processes see it. */
export interface SignalsEngine {
  /** The way as control has it, with nothing announced yet. */
  readonly control: Signals;
  /** The same way for one reader. */
  reader(): Promise<Signals>;
  close(): Promise<void>;
}

const bytes = (text: string): Uint8Array => new Uint8Array(Buffer.from(text));
const text = (envelope: Uint8Array | undefined): string | undefined =>
  envelope && Buffer.from(envelope).toString();

/** What every engine of the Signals port does. */
export function signalsContract(name: string, make: () => Promise<SignalsEngine>): void {
  describe(`${name} as a way of announcements`, () => {
    let engine: SignalsEngine;
    let sequence = 0;

    beforeAll(async () => {
      engine = await make();
    });
    afterAll(() => engine?.close());
    beforeEach(() => {
      sequence += 10;
    });

    const heardBy = (way: Signals): (string | undefined)[] => {
      const heard: (string | undefined)[] = [];
      way.subscribe((envelope) => heard.push(text(envelope)));
      return heard;
    };

    it('knows nothing before the first', async () => {
      expect(await (await engine.reader()).latest()).toBeUndefined();
    });

    it('tells the newest to whoever asks, and to whoever listens', async () => {
      const way = await engine.reader();
      const heard = heardBy(way);
      await engine.control.publish(bytes(`first ${sequence}`), sequence);
      await until(() => heard.includes(`first ${sequence}`), 'the listener hears it');
      expect(text(await way.latest())).toBe(`first ${sequence}`);
    });

    it('tells a reader that came late', async () => {
      await engine.control.publish(bytes(`late ${sequence}`), sequence);
      expect(text(await (await engine.reader()).latest())).toBe(`late ${sequence}`);
    });

    it('does not put an old one over a new one', async () => {
      await engine.control.publish(bytes(`new ${sequence}`), sequence + 1);
      await engine.control.publish(bytes(`old ${sequence}`), sequence);
      expect(text(await (await engine.reader()).latest())).toBe(`new ${sequence}`);
    });

    it('is silent for whoever has ended listening', async () => {
      const [way, other] = [await engine.reader(), await engine.reader()];
      const heard: (string | undefined)[] = [];
      const end = way.subscribe((envelope) => heard.push(text(envelope)));
      const others = heardBy(other);
      end();
      await engine.control.publish(bytes(`after ${sequence}`), sequence);
      await until(() => others.includes(`after ${sequence}`), 'the other one hears it');
      expect(heard).not.toContain(`after ${sequence}`);
    });

    it('carries any bytes, and many', async () => {
      const way = await engine.reader();
      const large = new Uint8Array(200_000).map((_, at) => (at * 7) % 256);
      await engine.control.publish(large, sequence);
      expect(Buffer.from((await way.latest())!).equals(Buffer.from(large))).toBe(true);
    });
  });
}
