/** A RedPacketToken read from its bytes (docs/formats.md); an own, slow and simple protobuf reader. */
export interface AuditedOrder {
  readonly appId: bigint;
  readonly actId: bigint;
  readonly campaign: string;
  readonly scene: string;
  readonly fen: bigint;
  readonly orderNumber: string;
  readonly drawnAtMs: number;
  readonly rain: number;
  readonly stage: string;
  readonly phaseKey: number;
  readonly sliceId: bigint;
  readonly epoch: number;
  readonly index: number;
  /** As the order number says it. */
  readonly award: string;
}

/** What names an order: its number is given once in a phase, and two campaigns may have a phase of one name. */
export const orderKey = (phaseKey: number, orderNumber: string): string => `${phaseKey}/${orderNumber}`;

export const keyOfOrder = ({ phaseKey, orderNumber }: AuditedOrder): string =>
  orderKey(phaseKey, orderNumber);

const PIECES = [
  'video-subsidy',
  'ad-coupon',
  'shop-coupon',
  'payment-coupon',
  'finance-coupon',
  'insurance-coupon',
  'credit-card-coupon',
  'drinks-coupon',
  'cinema-ticket',
  'promotion-coupon',
  'culture-coupon',
  'avatar-pendant',
  'greeting',
];

/** Whether an award is a known one that is no money. */
export const isPiece = (award: string): boolean => PIECES.includes(award);

export function readToken(bytes: Buffer): AuditedOrder {
  const fields = new Map<number, bigint | string>();
  let at = 0;
  const varint = (): bigint => {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 63n) throw new Error('a number is cut off');
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < bytes.length) {
    const tag = Number(varint());
    const field = tag >> 3;
    if (fields.has(field)) throw new Error(`field ${field} stands twice`);
    if ((tag & 7) === 0) fields.set(field, varint());
    else if ((tag & 7) === 2) {
      const length = Number(varint());
      if (at + length > bytes.length) throw new Error('a text is cut off');
      fields.set(field, bytes.toString('latin1', at, at + length));
      at += length;
    } else throw new Error(`field ${field} has an unknown type`);
  }
  const number = (field: number): bigint => (fields.get(field) ?? 0n) as bigint;
  const text = (field: number): string => (fields.get(field) ?? '') as string;
  return {
    appId: number(1),
    actId: number(2),
    campaign: text(3),
    scene: text(4),
    fen: number(5),
    orderNumber: text(6),
    drawnAtMs: Number(number(7)),
    rain: Number(number(8)),
    stage: text(10),
    phaseKey: Number(number(11)),
    sliceId: number(12),
    epoch: Number(number(13)),
    index: Number(number(14)),
    award: text(6).split('_')[3] ?? '',
  };
}
