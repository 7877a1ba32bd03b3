/** An order as it stands in the journal: docs/formats.md, RedPacketToken. */
export interface JournalOrder {
  readonly orderNumber: string;
  readonly appId: number;
  readonly actId: bigint;
  readonly campaignId: string;
  readonly sceneId: string;
  readonly rainId: number;
  readonly stage: string;
  readonly phaseKey: number;
  readonly amountFen: bigint;
  readonly drawnAtMs: number;
  readonly sliceId: bigint;
  readonly sliceEpoch: number;
  readonly sliceIndex: number;
}

const TEXT_FIELDS = new Set([3, 4, 6, 10]);
const FIELDS_MAX = 14;

/** Reads one token; throws an Error that says what is not canonical. */
export function readToken(bytes: Buffer): JournalOrder {
  const numbers = new Map<number, bigint>();
  const texts = new Map<number, string>();
  let at = 0;
  let last = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at];
      if (byte === undefined || shift > 63n) throw new Error('a varint does not end');
      at += 1;
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0 && shift > 0n) throw new Error('a varint is not minimal');
        return value;
      }
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const field = tag >> 3;
    if (field <= last || field > FIELDS_MAX) throw new Error(`field ${field} follows field ${last}`);
    last = field;
    if ((tag & 7) !== (TEXT_FIELDS.has(field) ? 2 : 0))
      throw new Error(`field ${field} has wire type ${tag & 7}`);
    const value = varint();
    if (value === 0n) throw new Error(`field ${field} is empty and not left out`);
    if (!TEXT_FIELDS.has(field)) {
      numbers.set(field, value);
      continue;
    }
    const end = at + Number(value);
    if (end > bytes.length) throw new Error(`field ${field} is cut off`);
    texts.set(field, bytes.toString('utf8', at, end));
    at = end;
  }
  return orderOf(numbers, texts);
}

function orderOf(numbers: ReadonlyMap<number, bigint>, texts: ReadonlyMap<number, string>): JournalOrder {
  const number = (field: number, max: bigint, fallback?: bigint): bigint => {
    const value = numbers.get(field) ?? fallback;
    if (value === undefined || value > max) throw new Error(`field ${field} is ${value}, at most ${max}`);
    return value;
  };
  const id = (field: number): string => {
    const text = texts.get(field) ?? '';
    if (!/^[A-Za-z0-9][A-Za-z0-9-]{0,31}$/.test(text))
      throw new Error(`field ${field} is no id: ${JSON.stringify(text)}`);
    return text;
  };
  const INT31 = 2n ** 31n - 1n;
  const SAFE = 2n ** 53n - 1n;
  const LONG = 2n ** 63n - 1n;
  if (number(9, INT31) !== 1n) throw new Error('field 9, status, is not 1');
  return {
    orderNumber: texts.get(6) ?? '',
    appId: Number(number(1, INT31)),
    actId: number(2, LONG),
    campaignId: id(3),
    sceneId: id(4),
    amountFen: number(5, SAFE),
    drawnAtMs: Number(number(7, SAFE)),
    rainId: Number(number(8, INT31)),
    stage: id(10),
    phaseKey: Number(number(11, INT31)),
    sliceId: number(12, LONG),
    sliceEpoch: Number(number(13, INT31)),
    sliceIndex: Number(number(14, INT31, 0n)),
  };
}
