import { JetStreamApiError, type PubAck } from '@nats-io/jetstream';
import { errors } from '@nats-io/transport-node';
import { describe, expect, it } from 'vitest';
import { testClock } from '../../../test/support/rig.ts';
import type { NatsLink } from './connection.ts';
import { createPublisher, dedupesSafely } from './publisher.ts';

const refusal = (err_code: number, description = 'no') =>
  new JetStreamApiError({ code: 503, err_code, description });
const silence = () => new errors.TimeoutError();
const ack = (seq: number, duplicate = false): PubAck => ({ stream: 'grants-0', seq, duplicate, domain: '' });

/** A stream that answers each try with what is told, in order; the last one again and again. */
function publisherOf(answers: readonly (PubAck | Error)[], { dedupe = true, deadlineMs = 30_000 } = {}) {
  const sentAs: (string | undefined)[] = [];
  const link = {
    clock: testClock(),
    downForMs: () => 0,
    nc: { isClosed: () => false },
    js: {
      async publish(_subject: string, _body: Uint8Array, { msgID }: { msgID?: string }) {
        const answer = answers[Math.min(sentAs.length, answers.length - 1)]!;
        sentAs.push(msgID);
        if (answer instanceof Error) throw answer;
        return answer;
      },
    },
  } as unknown as NatsLink;
  const publish = createPublisher({ link, stream: 'grants-0', deadlineMs, dedupe, onOutcome: () => {} });
  return { append: () => publish('grants', Buffer.from('orders'), 'the name'), sentAs };
}

describe('publishing under a name', () => {
  it('goes out again under its name until there is an answer, which is the first one’s place', async () => {
    const { append, sentAs } = publisherOf([silence(), ack(7, true)]);
    expect(await append()).toMatchObject({ seq: 7, duplicate: true });
    expect(sentAs).toEqual(['the name', 'the name']);
  });

  it('takes an acknowledgement without a place for no answer: the message is under way, and may be lost yet', async () => {
    const { append, sentAs } = publisherOf([silence(), ack(0, true), ack(0, true), ack(7, true)]);
    expect(await append()).toMatchObject({ seq: 7 });
    expect(sentAs.length).toBe(4);
  });

  it('takes the refusal of newer servers, that the name is under way, for no answer either', async () => {
    const { append } = publisherOf([refusal(10158, 'duplicate message id is in process'), ack(7, true)]);
    expect(await append()).toMatchObject({ seq: 7 });
  });

  it('is unknown while the message stays under way', async () => {
    for (const answer of [ack(0, true), refusal(10158)])
      await expect(publisherOf([answer], { deadlineMs: 200 }).append()).rejects.toMatchObject({
        kind: 'outcome-unknown',
      });
  });

  it('is unknown when a try is refused after one that nobody answered: that one may be stored', async () => {
    const { append } = publisherOf([silence(), refusal(10077, 'maximum bytes exceeded')]);
    await expect(append()).rejects.toMatchObject({ kind: 'outcome-unknown' });
  });

  it('is refused when its first try is', async () => {
    const { append } = publisherOf([refusal(10077, 'maximum bytes exceeded')]);
    await expect(append()).rejects.toMatchObject({ kind: 'log-unavailable' });
  });
});

describe('publishing without a name', () => {
  it('goes out once', async () => {
    const { append, sentAs } = publisherOf([silence(), ack(7)], { dedupe: false });
    await expect(append()).rejects.toMatchObject({ kind: 'outcome-unknown' });
    expect(sentAs).toEqual([undefined]);
  });

  it('is for clusters of servers before 2.10, whose replicas come to differ', () => {
    const of = (version: string) => ({ nc: { info: { version } } }) as unknown as NatsLink;
    const names = (version: string, replicas: number) => dedupesSafely(of(version), replicas);
    expect([names('2.9.10', 3), names('2.9.10', 1)]).toEqual([false, true]);
    expect([names('2.10.27', 3), names('2.15.1', 3), names('3.0.0', 3)]).toEqual([true, true, true]);
  });
});
