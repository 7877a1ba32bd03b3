/** Fen to yuan and back, on whole numbers only. */
export const yuan = (fen: number): string => {
  const sign = fen < 0 ? '-' : '';
  const digits = String(Math.abs(fen)).padStart(3, '0');
  return `${sign}${digits.slice(0, -2)}.${digits.slice(-2)}`;
};

/** What a person typed as yuan, in fen; undefined unless it is a positive amount with at most two decimals. */
export function parseYuan(text: string): number | undefined {
  const match = /^([0-9]{1,12})(?:\.([0-9]{1,2}))?$/.exec(text.trim());
  if (!match) return undefined;
  const fen = Number(match[1]) * 100 + Number((match[2] ?? '').padEnd(2, '0'));
  return fen > 0 ? fen : undefined;
}
