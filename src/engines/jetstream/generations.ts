import type { StreamInfo } from '@nats-io/jetstream';
import { errors } from '@nats-io/transport-node';
import { RetryableFault } from '../../protocol/failures.ts';
import { createAbsence } from './absence.ts';
import type { NatsLink } from './connection.ts';
import type { BucketNames } from './names.ts';
import type { Found } from './stream-health.ts';
import { beginOf, infoOf, isClosed } from './streams.ts';

/** Of a stream, in the life of its bucket: when its servers have made it. */
export type Generation = string;

export interface GenerationsOptions {
  readonly link: NatsLink;
  readonly names: BucketNames;
  /** The one in which everything stands that this process has published and may forget, if that is known. */
  readonly known?: Generation | undefined;
  /** Nothing of what was promised before concerns this stream, whichever it is. */
  readonly isFirst?: boolean | undefined;
  /** Told of the first one that is met when none is known, and nothing says that there was another. */
  readonly adopt?: ((generation: Generation) => void) | undefined;
  /** Makes the stream anew, or finishes what somebody has begun. Without it that is left to others. */
  readonly remake?: (() => Promise<void>) | undefined;
  /** How long a stream that was made anew is not taken for whole, in ms. */
  readonly graceMs?: number | undefined;
}

/**
 * Everybody publishes again what a lost stream had, and the bucket's owner promises anew what the book has of processes
 * that are gone; a fence that went before would make void what was won. They are asked; this is for those who have not
 * noticed yet.
 */
const GRACE_MS = 60_000;
const ANSWER_MS_MAX = 1_000;
const REMADE_AGAIN_MS = 5_000;

/**
 * What a process knows of the stream in which its promises stand: which one it is, whether the servers have lost it, and
 * whether one that was made anew has everything again.
 */
export function createGenerations(options: GenerationsOptions) {
  const { link, names } = options;
  const absence = createAbsence(link.clock);
  const halfMade = createAbsence(link.clock);
  let { known } = options;
  /** One that was found after another; until somebody takes it in. */
  let anew: Generation | undefined;
  let onAnew: ((generation: Generation) => void) | undefined;
  let remadeAtMs = Number.NEGATIVE_INFINITY;
  let remaking = false;
  let met: { generation: Generation; atMs: number } | undefined;
  let settled: Generation | undefined;
  let fencing: Promise<void> | undefined;
  let owes: () => boolean = () => false;
  const asked = link.nc.subscribe(names.owingSubject, {
    callback: (error, message) => {
      if (!error && owes()) message.respond();
    },
  });

  function look(found: Found): void {
    if (found === 'unknown') {
      absence.broken();
      halfMade.broken();
    } else if (found === 'absent') {
      halfMade.broken();
      if (absence.confirm()) void remake();
    } else {
      absence.broken();
      if (!isClosed(found.config)) halfMade.broken();
      else if (halfMade.confirm()) void remake();
      meet(found.created);
      note(found);
    }
  }

  /** When this process has met the stream. */
  function meet(generation: Generation): number {
    if (met?.generation !== generation) met = { generation, atMs: link.clock.monotonicMs() };
    return met.atMs;
  }

  function note({ created: generation, config }: StreamInfo): void {
    if (generation === known) return;
    const isFirst = known === undefined;
    known = generation;
    if (isFirst && (options.isFirst || beginOf(config) === 1)) return options.adopt?.(generation);
    if (!isFirst)
      link.logger.error({ stream: names.stream, generation }, 'the stream is another one than it was');
    if (onAnew) onAnew(generation);
    else anew = generation;
  }

  async function remake(): Promise<void> {
    const nowMs = link.clock.monotonicMs();
    if (!options.remake || remaking || nowMs - remadeAtMs < REMADE_AGAIN_MS) return;
    remaking = true;
    try {
      await options.remake();
    } catch (error) {
      const reason = (error as Error).message;
      link.logger.warn({ stream: names.stream, reason }, 'a lost stream could not be made anew yet');
    } finally {
      remadeAtMs = link.clock.monotonicMs();
      remaking = false;
    }
  }

  /** Rejects with a RetryableFault while a stream that was made anew may lack what the lost one had. */
  async function mustBeWhole(info: StreamInfo): Promise<void> {
    if (beginOf(info.config) === 1 || settled === info.created) return;
    if (isClosed(info.config)) throw lacking('it is being made anew');
    const ageMs = link.clock.monotonicMs() - meet(info.created);
    if (ageMs < (options.graceMs ?? GRACE_MS)) throw lacking('it was made anew');
    if (!(await answers(names.howFarSubject))) throw lacking('nobody credits from it');
    if (await answers(names.owingSubject)) throw lacking('not everything is published again');
    settled = info.created;
  }

  async function infoNow(): Promise<StreamInfo> {
    let info: StreamInfo | undefined;
    try {
      info = await infoOf(link, names.stream);
    } catch (error) {
      throw lacking((error as Error).message);
    }
    if (!info) throw lacking('there is none');
    return info;
  }

  const lacking = (why: string): RetryableFault =>
    new RetryableFault(
      'log-unavailable',
      `nobody knows that ${names.stream} is whole: ${why}`,
      ANSWER_MS_MAX,
    );

  async function answers(subject: string): Promise<boolean> {
    if (link.downForMs() > 0) throw lacking('there is no connection to NATS');
    try {
      await link.nc.request(subject, undefined, { timeout: ANSWER_MS_MAX });
      return true;
    } catch (error) {
      const isUnheard = error instanceof errors.RequestError && error.isNoResponders();
      if (isUnheard || error instanceof errors.TimeoutError) return false;
      throw lacking((error as Error).message);
    }
  }

  return {
    look,
    mustBeWhole,
    /**
     * Before a fence: what stands behind it is void, so all that was won must stand there already. Asked each time, once
     * for all who ask side by side: nothing is made anew in the time of one question.
     */
    mayFence(): Promise<void> {
      fencing ??= infoNow()
        .then(mustBeWhole)
        .finally(() => {
          fencing = undefined;
        });
      return fencing;
    },
    known: (): Generation | undefined => known,
    whenAnew(listener: (generation: Generation) => void, owing: () => boolean): void {
      onAnew = listener;
      owes = owing;
      if (anew !== undefined) listener(anew);
      anew = undefined;
    },
    close: (): void => asked.unsubscribe(),
  };
}
