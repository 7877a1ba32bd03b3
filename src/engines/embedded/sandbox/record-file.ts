import {
  closeSync,
  existsSync,
  fdatasyncSync,
  fsyncSync,
  ftruncateSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs';
import path from 'node:path';

/** A file of JSON lines that only grows. */
export interface RecordFile<Line> {
  /** What stood in it when it was opened. */
  readonly found: readonly Line[];
  /** Durable when it returns. */
  append(line: Line): void;
  close(): void;
}

/** Opens `folder/name`, or makes it. A last line that was cut off was never answered, and is cut away. */
export function openRecordFile<Line>(folder: string, name: string): RecordFile<Line> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const file = path.join(folder, name);
  const found = existsSync(file) ? readWhole<Line>(file) : [];
  const fd = openSync(file, 'a', 0o600);
  syncFolder(folder);
  return {
    found,
    append(line) {
      writeSync(fd, `${JSON.stringify(line)}\n`);
      fdatasyncSync(fd);
    },
    close: () => closeSync(fd),
  };
}

function readWhole<Line>(file: string): Line[] {
  const text = readFileSync(file, 'utf8');
  const whole = text.slice(0, text.lastIndexOf('\n') + 1);
  if (whole.length < text.length) {
    const fd = openSync(file, 'r+');
    ftruncateSync(fd, Buffer.byteLength(whole));
    fdatasyncSync(fd);
    closeSync(fd);
  }
  const lines = whole.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Line);
}

/** So that a file that was just made is found again after a power cut. */
function syncFolder(folder: string): void {
  const fd = openSync(folder, 'r');
  fsyncSync(fd);
  closeSync(fd);
}
