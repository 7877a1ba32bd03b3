import type { IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import type { Clock } from '../../../vocabulary/instant.ts';
import { answer, isWhole, readJson, type SandboxAnswer, startSandboxServer } from '../sandbox/server.ts';
import { createDownstreamBehaviours } from './behaviour.ts';
import { type CountedPiece, codeOf, openPieces, type Piece } from './pieces.ts';

export { DOWNSTREAM_MODES, type DownstreamMode } from './behaviour.ts';
export type { CountedPiece } from './pieces.ts';

export interface AwardSandbox {
  readonly url: string;
  stop(): Promise<void>;
}

export interface AwardSandboxOptions {
  /** 0 for any free one. */
  readonly port: number;
  /** Holds pieces.jsonl (pieces.ts). */
  readonly folder: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

type Wanted = Pick<Piece, 'connector' | 'orderNumber' | 'phaseKey' | 'item' | 'actId' | 'worthFen'>;

const OFFERED =
  'POST /:connector/pieces, GET /:connector/pieces/:phaseKey/:orderNumber, GET /pieces, PUT /behaviour';
const NAME = /^[A-Za-z0-9][A-Za-z0-9-]{0,31}$/;

/**
 * Every downstream there is, to try the engine against: a real HTTP server on loopback with a memory on disk, so that a
 * crash of ours is none of its, and it can be told to misbehave (behaviour.ts). The same order number of a phase again
 * is the same piece; with other content it is refused with 409. GET /pieces lists what was handed out, and how often.
 */
export async function startAwardSandbox(options: AwardSandboxOptions): Promise<AwardSandbox> {
  const { clock, logger } = options;
  const pieces = openPieces(options.folder);
  const behaviours = createDownstreamBehaviours();
  const timers = new Set<NodeJS.Timeout>();

  function handOut({ connector, orderNumber, phaseKey, item, actId, worthFen }: Wanted): CountedPiece {
    const wanted = { connector, orderNumber, phaseKey, item, actId, worthFen };
    const earlier = pieces.get(wanted);
    if (earlier?.state === 'done') return earlier;
    return pieces.write({ ...wanted, state: 'done', voucher: codeOf(wanted), atMs: clock.now() });
  }

  function handOutLater(wanted: Wanted, afterMs: number): void {
    const timer = setTimeout(() => {
      timers.delete(timer);
      handOut(wanted);
    }, afterMs);
    timers.add(timer);
  }

  async function give(wanted: Wanted): Promise<SandboxAnswer> {
    const earlier = pieces.get(wanted);
    if (!earlier) return begin(wanted);
    return earlier.item === wanted.item &&
      earlier.actId === wanted.actId &&
      earlier.worthFen === wanted.worthFen
      ? answer(200, earlier)
      : answer(409, { error: 'this order number was used with other content' });
  }

  async function begin(wanted: Wanted): Promise<SandboxAnswer> {
    const { mode, lateMs } = behaviours.for(wanted.connector, wanted.item);
    switch (mode) {
      case 'ok':
        return answer(200, handOut(wanted));
      case 'slow': {
        const piece = handOut(wanted);
        await delay(lateMs, undefined, { ref: false });
        return answer(200, piece);
      }
      case 'http-500':
        return answer(500, { error: 'told to fail' });
      case 'http-500-but-done':
        handOut(wanted);
        return answer(500, { error: 'told to fail, and done' });
      case 'time-out-then-done':
        handOut(wanted);
        return 'silence';
      case 'time-out-not-done':
        return 'silence';
      case 'twice':
        handOut(wanted);
        return give(wanted);
      case 'processing-for-ever':
        return answer(202, pieces.write({ ...wanted, state: 'processing', atMs: clock.now() }));
      case 'processing-then-ok':
        handOutLater(wanted, lateMs);
        return answer(202, pieces.write({ ...wanted, state: 'processing', atMs: clock.now() }));
      case 'fail':
        return answer(503, { state: 'failed', reason: 'told to fail; nothing was done' });
      case 'reject':
        return answer(422, {
          ...pieces.write({ ...wanted, state: 'rejected', atMs: clock.now() }),
          reason: 'told to reject',
        });
      case 'cut-before':
        return 'cut';
      case 'cut-after':
        handOut(wanted);
        return 'cut';
    }
  }

  async function answerTo(request: IncomingMessage): Promise<SandboxAnswer> {
    const [, first, ...rest] = (request.url ?? '').split('/').map((part) => part.split('?')[0]!);
    const route = `${request.method} /${rest.length > 0 ? `:connector/${rest[0]}` : first}`;
    if (route === 'GET /pieces') return answer(200, pieces.all());
    if (route === 'PUT /behaviour' || route === 'POST /:connector/pieces') {
      const body = await readJson(request);
      if (!body) return answer(400, { error: 'a JSON object is needed, as application/json' });
      if (request.method === 'POST') {
        const wanted = wantedOf(first!, body);
        return 'error' in wanted ? answer(400, wanted) : give(wanted);
      }
      const told = behaviours.tell(body);
      return answer('error' in told ? 400 : 200, told);
    }
    if (route !== 'GET /:connector/pieces' || rest.length !== 3) return answer(404, { error: OFFERED });
    const key = { connector: first!, phaseKey: Number(rest[1]), orderNumber: decodeURIComponent(rest[2]!) };
    const piece = pieces.get(key);
    if (!piece) return answer(404, { state: 'unheard-of' });
    // Told to behave again, it ends what it was told never to end.
    const mayEnd = piece.state === 'processing' && behaviours.for(piece.connector, piece.item).mode === 'ok';
    return answer(200, mayEnd ? handOut(piece) : piece);
  }

  const server = await startSandboxServer({ port: options.port, answerTo, logger });
  // What was being worked on when we were killed is worked on again, unless it was told never to end.
  for (const piece of pieces.all()) {
    const { mode, lateMs } = behaviours.for(piece.connector, piece.item);
    if (piece.state === 'processing' && mode !== 'processing-for-ever') handOutLater(piece, lateMs);
  }

  return {
    url: server.url,
    async stop() {
      for (const timer of timers) clearTimeout(timer);
      await server.stop();
      pieces.close();
    },
  };
}

function wantedOf(connector: string, body: Record<string, unknown>): Wanted | { readonly error: string } {
  const { orderNumber, phaseKey, item, actId, worthFen } = body;
  if (!NAME.test(connector)) return { error: 'the connector is of letters, digits and hyphens, at most 32' };
  if (typeof orderNumber !== 'string' || !/^[A-Za-z0-9_-]{1,128}$/.test(orderNumber))
    return { error: 'orderNumber is of letters, digits, hyphens and underscores, at most 128' };
  if (!isWhole(phaseKey, 1)) return { error: 'phaseKey is a whole number from 1' };
  if (typeof item !== 'string' || item === '' || item.length > 128)
    return { error: 'item is a text of 1 to 128 characters' };
  if (typeof actId !== 'string' || !/^[0-9]{1,19}$/.test(actId)) return { error: 'actId is digits' };
  if (!isWhole(worthFen, 0)) return { error: 'worthFen is a whole number from 0' };
  return { connector, orderNumber, phaseKey, item, actId, worthFen };
}
