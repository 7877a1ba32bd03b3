import fs from 'node:fs';
import { promisify } from 'node:util';

/** What the journal asks of a file system; handed in, so that tests can make it fail. */
export interface JournalFile {
  readonly fd: number;
}

export interface JournalFiles {
  open(path: string, flags: 'r+' | 'w+'): Promise<JournalFile>;
  /** Writes all of it, or throws. */
  write(file: JournalFile, bytes: Buffer, position: number): Promise<void>;
  read(file: JournalFile, into: Buffer, position: number): Promise<number>;
  datasync(file: JournalFile): Promise<void>;
  truncate(file: JournalFile, length: number): Promise<void>;
  close(file: JournalFile): Promise<void>;
  /** Makes a new name in the folder durable. */
  syncFolder(folder: string): Promise<void>;
}

const open = promisify(fs.open);
const close = promisify(fs.close);
const datasync = promisify(fs.fdatasync);
const truncate = promisify(fs.ftruncate);
const write = promisify(fs.write) as unknown as (
  fd: number,
  bytes: Buffer,
  offset: number,
  length: number,
  position: number,
) => Promise<{ bytesWritten: number }>;
const read = promisify(fs.read) as unknown as (
  fd: number,
  into: Buffer,
  offset: number,
  length: number,
  position: number,
) => Promise<{ bytesRead: number }>;

export const nodeFiles: JournalFiles = {
  open: async (path, flags) => ({ fd: await open(path, flags, 0o600) }),
  async write(file, bytes, position) {
    let done = 0;
    while (done < bytes.length) {
      const { bytesWritten } = await write(file.fd, bytes, done, bytes.length - done, position + done);
      if (bytesWritten === 0) throw Object.assign(new Error('nothing could be written'), { code: 'ENOSPC' });
      done += bytesWritten;
    }
  },
  read: async (file, into, position) => (await read(file.fd, into, 0, into.length, position)).bytesRead,
  datasync: (file) => datasync(file.fd),
  truncate: (file, length) => truncate(file.fd, length),
  close: (file) => close(file.fd),
  async syncFolder(folder) {
    const fd = await open(folder, 'r');
    await promisify(fs.fsync)(fd);
    await close(fd);
  },
};
