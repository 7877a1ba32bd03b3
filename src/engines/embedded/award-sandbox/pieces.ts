import { createHash } from 'node:crypto';
import { openRecordFile } from '../sandbox/record-file.ts';

/** A piece as a downstream knows it. */
export interface Piece {
  readonly connector: string;
  readonly orderNumber: string;
  readonly phaseKey: number;
  readonly item: string;
  readonly actId: string;
  readonly worthFen: number;
  readonly state: 'done' | 'processing' | 'rejected';
  readonly voucher?: string;
  readonly atMs: number;
}

/** A piece, and how often it was handed out: the auditor wants to see 1 or 0. */
export interface CountedPiece extends Piece {
  readonly handedOutTimes: number;
}

export type PieceKey = Pick<Piece, 'connector' | 'phaseKey' | 'orderNumber'>;

export interface Pieces {
  get(key: PieceKey): CountedPiece | undefined;
  all(): CountedPiece[];
  /** Durable when it returns. */
  write(piece: Piece): CountedPiece;
  close(): void;
}

/**
 * `pieces.jsonl` in `folder`: one line per change of a piece, fsynced before it is answered, with the fields of `Piece`.
 * The last line of a connector's phase and order number is its state; it was handed out once for each line that says
 * "done".
 */
export function openPieces(folder: string): Pieces {
  const file = openRecordFile<Piece>(folder, 'pieces.jsonl');
  const pieces = new Map<string, CountedPiece>();
  const keyOf = (key: PieceKey): string => `${key.connector}/${key.phaseKey}/${key.orderNumber}`;
  const note = (piece: Piece): CountedPiece => {
    const before = pieces.get(keyOf(piece))?.handedOutTimes ?? 0;
    const counted = { ...piece, handedOutTimes: before + (piece.state === 'done' ? 1 : 0) };
    pieces.set(keyOf(piece), counted);
    return counted;
  };
  for (const piece of file.found) note(piece);

  return {
    get: (key) => pieces.get(keyOf(key)),
    all: () => [...pieces.values()],
    write(piece) {
      file.append(piece);
      return note(piece);
    },
    close: file.close,
  };
}

/** No letters or digits that are taken for one another when read out. */
const CODE_LETTERS = '23456789ABCDEFGHJKLMNPQRSTUVWXYZ';

/** A code as shops print them, XXXX-XXXX-XXXX: the same for the same piece, unlike any other's. */
export function codeOf(key: PieceKey): string {
  const digest = createHash('sha256')
    .update(JSON.stringify([key.connector, key.phaseKey, key.orderNumber]))
    .digest();
  const letters = [...digest.subarray(0, 12)]
    .map((byte) => CODE_LETTERS[byte % CODE_LETTERS.length]!)
    .join('');
  return letters.match(/.{4}/g)!.join('-');
}
