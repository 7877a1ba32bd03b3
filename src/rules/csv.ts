/**
 * RFC 4180, strictly, in pieces as they come: commas, CRLF or LF, quotes around a whole field only, a quote inside
 * written twice. A broken row is told with its line and what would be right, and reading goes on at the next line.
 */
export type CsvRow =
  | { readonly line: number; readonly fields: readonly string[] }
  | { readonly line: number; readonly wrong: string };

export interface CsvReader {
  /** The rows that this piece completes. */
  push(text: string): CsvRow[];
  /** The last row, when the text did not end with a line's end. */
  end(): CsvRow[];
}

/** A field that grows beyond this has most likely lost its closing quote; nobody's memory pays for it. */
const FIELD_CHARACTERS_MAX = 1_000;
const FIELDS_MAX = 32;

type State = 'start' | 'bare' | 'quoted' | 'closed' | 'broken';

export function createCsvReader(): CsvReader {
  let state: State = 'start';
  let field = '';
  let fields: string[] = [];
  let line = 1;
  let rowLine = 1;
  let wrong: string | undefined;
  let afterReturn = false;
  let rows: CsvRow[] = [];

  function breakRow(why: string): void {
    wrong ??= why;
    state = 'broken';
    field = '';
  }

  function endField(): void {
    fields.push(field);
    field = '';
    state = 'start';
    if (fields.length > FIELDS_MAX) breakRow(`the line has more than ${FIELDS_MAX} fields`);
  }

  function endRow(): void {
    // An empty line is no row: editors leave one at the end.
    const isEmpty = state === 'start' && fields.length === 0;
    if (!isEmpty && wrong === undefined) endField();
    if (wrong !== undefined) rows.push({ line: rowLine, wrong });
    else if (!isEmpty) rows.push({ line: rowLine, fields });
    fields = [];
    field = '';
    wrong = undefined;
    state = 'start';
    line += 1;
    rowLine = line;
  }

  function take(character: string): void {
    if (afterReturn) {
      afterReturn = false;
      if (character !== '\n') breakRow('a carriage return stands alone; end lines with CRLF or LF');
    }
    if (state === 'quoted') return takeQuoted(character);
    if (character === '\n') return endRow();
    if (character === '\r') {
      afterReturn = true;
      return;
    }
    if (state === 'broken') return;
    if (character === ',') return endField();
    if (character === '"') return takeQuote();
    if (state === 'closed')
      return breakRow('something stands behind a closing quote; write a quote inside a field twice ("")');
    state = 'bare';
    grow(character);
  }

  function takeQuoted(character: string): void {
    if (character === '"') {
      state = 'closed';
      return;
    }
    if (character === '\n') line += 1;
    grow(character);
  }

  function takeQuote(): void {
    if (state === 'closed') {
      state = 'quoted';
      return grow('"');
    }
    if (state === 'bare')
      return breakRow('a quote stands inside a field without quotes; put the whole field into quotes');
    state = 'quoted';
  }

  function grow(character: string): void {
    field += character;
    if (field.length > FIELD_CHARACTERS_MAX)
      breakRow(`a field is longer than ${FIELD_CHARACTERS_MAX} characters; is its closing quote missing?`);
  }

  function taken(): CsvRow[] {
    const done = rows;
    rows = [];
    return done;
  }

  return {
    push(text) {
      for (const character of text) take(character);
      return taken();
    },
    end() {
      if (state === 'quoted') breakRow('the closing quote is missing');
      afterReturn = false;
      if (state !== 'start' || fields.length > 0) endRow();
      return taken();
    },
  };
}

/** One record of RFC 4180, CRLF at its end. A field that a spreadsheet would run as a formula is kept as text. */
export const csvRecord = (fields: readonly (string | number | bigint)[]): string =>
  `${fields.map((field) => quoted(String(field))).join(',')}\r\n`;

const quoted = (field: string): string => {
  const text = /^[=+\-@\t]/.test(field) ? `'${field}` : field;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
};
