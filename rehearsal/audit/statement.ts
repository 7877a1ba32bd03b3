import { readFileSync } from 'node:fs';
import path from 'node:path';
import type { Findings } from './report.ts';

/** One line of what a partner says it handed out. */
export interface StatementLine {
  readonly connector: string;
  readonly orderNumber: string;
  /** Undefined when the partner was never told it: the order number alone must do. */
  readonly phaseKey: number | undefined;
  readonly item: string | undefined;
  /** As the partner writes it; for people to find it there. */
  readonly at: string | undefined;
  readonly voucher: string | undefined;
  /** `file:line`. */
  readonly where: string;
}

export interface Statements {
  /** Whose statement is at hand. */
  readonly connectors: ReadonlySet<string>;
  readonly lines: readonly StatementLine[];
}

interface Record {
  readonly fields: Readonly<{ [column: string]: string | undefined }>;
  readonly line: number;
}

/**
 * Statements of partners: `connector=file`, or a file that is called as its connector; several of one connector are one.
 * CSV with a header (RFC 4180), or one JSON object a line: `orderNumber`, and where the partner has them `phaseKey`, `item`,
 * `at`, `voucher`; other columns are passed over. Throws when a file can't be read at all.
 */
export function readStatements(named: readonly string[], findings: Findings): Statements {
  const files = named.map(fileOf);
  return {
    connectors: new Set(files.map(({ connector }) => connector)),
    lines: files.flatMap(({ connector, file }) => {
      const text = readFileSync(file, 'utf8').replace(/^\uFEFF/, '');
      const records = text.trimStart().startsWith('{') ? jsonRecords(text) : csvRecords(text);
      return records.flatMap((record) => {
        const line = lineOf(record, connector, `${file}:${record.line}`);
        if (!line)
          findings.add('format', 'a line of a statement has no order number', `${file}:${record.line}`);
        return line ?? [];
      });
    }),
  };
}

/** `connector=file`, or the file's own name. */
export function fileOf(named: string): { readonly connector: string; readonly file: string } {
  const [, connector, file] = /^([a-z0-9][a-z0-9-]*)=(.+)$/s.exec(named) ?? [];
  return connector !== undefined && file !== undefined
    ? { connector, file }
    : { connector: path.parse(named).name, file: named };
}

/** A partner that serves several campaigns knows a piece as `{phaseKey}-{orderNumber}` (examples/connectors.yaml). */
const WITH_PHASE = /^(\d+)-(\d+_.+)$/;
const ORDER_NUMBER = /^\d+(_[^_]+){4}$/;

function lineOf({ fields }: Record, connector: string, where: string): StatementLine | undefined {
  const said = fields.orderNumber?.trim() ?? '';
  const [, ownPhase, ownNumber] = WITH_PHASE.exec(said) ?? [];
  const orderNumber = ownNumber ?? said;
  const phase = fields.phaseKey?.trim() || ownPhase;
  if (!ORDER_NUMBER.test(orderNumber) || (phase !== undefined && !/^\d+$/.test(phase))) return undefined;
  return {
    connector,
    orderNumber,
    phaseKey: phase === undefined ? undefined : Number(phase),
    item: fields.item?.trim() || undefined,
    at: fields.at?.trim() || undefined,
    voucher: fields.voucher?.trim() || undefined,
    where,
  };
}

function jsonRecords(text: string): Record[] {
  return text.split('\n').flatMap((line, at) => {
    if (line.trim() === '') return [];
    return [{ line: at + 1, fields: fieldsOf(line) }];
  });
}

function fieldsOf(line: string): Record['fields'] {
  try {
    const found = JSON.parse(line) as unknown;
    if (typeof found !== 'object' || found === null) return {};
    return Object.fromEntries(
      Object.entries(found).map(([name, value]) => [
        name,
        typeof value === 'string' || typeof value === 'number' ? String(value) : undefined,
      ]),
    );
  } catch {
    return {};
  }
}

/** Fields that are quoted may hold commas, quotes (doubled) and line breaks. */
const FIELD = /(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r?\n|$)/gy;

function csvRecords(text: string): Record[] {
  const rows: { fields: string[]; line: number }[] = [];
  let fields: string[] = [];
  let line = 1;
  let begins = 1;
  FIELD.lastIndex = 0;
  while (FIELD.lastIndex < text.length) {
    const found = FIELD.exec(text);
    // What is no CSV from here on is one line that nobody can read.
    if (!found) return [...keyed(rows), { line, fields: {} }];
    fields.push(found[1]?.replaceAll('""', '"') ?? found[2] ?? '');
    line += found[0].split('\n').length - 1;
    if (found[3] === ',') continue;
    if (fields.some((field) => field !== '')) rows.push({ fields, line: begins });
    fields = [];
    begins = line;
  }
  if (fields.length > 0) rows.push({ fields, line: begins });
  return keyed(rows);
}

function keyed([header, ...rows]: readonly {
  readonly fields: readonly string[];
  readonly line: number;
}[]): Record[] {
  const columns = header?.fields.map((name) => name.trim()) ?? [];
  return rows.map(({ fields, line }) => ({
    line,
    fields: Object.fromEntries(columns.map((name, at) => [name, fields[at]])),
  }));
}
