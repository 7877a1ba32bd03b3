import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Findings } from './report.ts';
import { orderKey } from './token.ts';

/** One line of a downstream's own record: what became of a piece there. */
export interface DownstreamLine {
  readonly connector: string;
  readonly orderNumber: string;
  readonly phaseKey: number;
  readonly item: string;
  readonly actId: string;
  readonly worthFen: number;
  readonly state: 'done' | 'processing' | 'rejected';
  readonly voucher?: string;
}

/** All that downstreams know of one order number of a phase, in the order in which they wrote it. */
export interface DownstreamPiece {
  /** Of each connector, the last line. */
  readonly last: ReadonlyMap<string, DownstreamLine>;
  /** Each time it was handed out, whoever did. */
  readonly handedOut: readonly DownstreamLine[];
}

interface ReadPiece extends DownstreamPiece {
  readonly last: Map<string, DownstreamLine>;
  readonly handedOut: DownstreamLine[];
}

/** By `orderKey`. */
export type DownstreamRecord = ReadonlyMap<string, DownstreamPiece>;

/**
 * The sandbox's record (docs/formats.md) in those of the data folders that have one; undefined where none has, because
 * the downstreams are somebody else's. A last line that is not whole was answered to nobody.
 */
export function readDownstream(
  dataFolders: readonly string[],
  findings: Findings,
): DownstreamRecord | undefined {
  const files = dataFolders
    .map((folder) => path.join(folder, 'award-sandbox', 'pieces.jsonl'))
    .filter((file) => existsSync(file));
  if (files.length === 0) return undefined;
  const pieces = new Map<string, ReadPiece>();
  for (const file of files)
    for (const line of linesOf(file, findings)) {
      const key = orderKey(line.phaseKey, line.orderNumber);
      const piece: ReadPiece = pieces.get(key) ?? { last: new Map(), handedOut: [] };
      pieces.set(key, piece);
      piece.last.set(line.connector, line);
      if (line.state === 'done') piece.handedOut.push(line);
    }
  return pieces;
}

function linesOf(file: string, findings: Findings): DownstreamLine[] {
  const text = readFileSync(file, 'utf8');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1).split('\n');
  return whole.flatMap((text, at) => {
    if (text === '') return [];
    const line = lineOf(text);
    if (!line) findings.add('format', 'a line of a downstream’s record can’t be read', `${file}:${at + 1}`);
    return line ? [line] : [];
  });
}

function lineOf(text: string): DownstreamLine | undefined {
  try {
    const line = JSON.parse(text) as DownstreamLine;
    const isOne =
      [line.connector, line.orderNumber, line.item, line.actId].every((one) => typeof one === 'string') &&
      [line.phaseKey, line.worthFen].every(Number.isSafeInteger) &&
      ['done', 'processing', 'rejected'].includes(line.state);
    return isOne ? line : undefined;
  } catch {
    return undefined;
  }
}
