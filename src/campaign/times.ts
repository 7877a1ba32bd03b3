import { type InstantMs, instantMs } from '../vocabulary/instant.ts';

const INSTANT = /^(\d{4})-(\d{2})-(\d{2})T(\d{2}):(\d{2}):(\d{2})(\.\d{1,3})?(Z|[+-]\d{2}:\d{2})$/;
const DURATION = /^P(?:(\d{1,5})D)?(?:T(?:(\d{1,6})H)?(?:(\d{1,6})M)?(?:(\d{1,8}(?:\.\d{1,3})?)S)?)?$/;

/** An RFC 3339 moment with its offset; undefined for anything else, impossible days (30 February) included. */
export function parseInstant(text: string): InstantMs | undefined {
  const match = INSTANT.exec(text);
  if (!match) return undefined;
  const [, year, month, day, hour, minute, second] = match.map(Number) as unknown as number[];
  const daysInMonth = new Date(Date.UTC(year!, month!, 0)).getUTCDate();
  if (
    month! < 1 ||
    month! > 12 ||
    day! < 1 ||
    day! > daysInMonth ||
    hour! > 23 ||
    minute! > 59 ||
    second! > 59
  )
    return undefined;
  const value = Date.parse(text);
  return Number.isFinite(value) && value > 0 ? instantMs(value) : undefined;
}

/** An ISO 8601 duration of days, hours, minutes and seconds, in ms; undefined for anything else or nothing at all. */
export function parseDurationMs(text: string): number | undefined {
  const match = DURATION.exec(text);
  if (!match || text.endsWith('T') || text === 'P') return undefined;
  const [days, hours, minutes, seconds] = match.slice(1).map((part) => Number(part ?? 0));
  const ms = Math.round((((days! * 24 + hours!) * 60 + minutes!) * 60 + seconds!) * 1000);
  return ms > 0 ? ms : undefined;
}

/** A moment written with the offset that another text has, so that a reader compares like with like. */
export function formatLike(atMs: number, text: string): string {
  const offset = /[+-]\d{2}:\d{2}$/.exec(text)?.[0] ?? 'Z';
  if (offset === 'Z') return new Date(atMs).toISOString().replace('.000', '');
  const [hours, minutes] = offset.slice(1).split(':').map(Number);
  const shiftMs = (hours! * 60 + minutes!) * 60_000 * (offset.startsWith('-') ? -1 : 1);
  return new Date(atMs + shiftMs).toISOString().replace('.000', '').replace('Z', offset);
}
