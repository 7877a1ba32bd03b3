import { randomBytes, randomInt } from 'node:crypto';

/** The one place that asks the machine for chance; whatever decides about money draws from here. */
export const random = (): number => randomInt(2 ** 47) / 2 ** 47;

/** Uniform from 0 up to, not including, `below`: by rejection, so no value is likelier than another. */
export function randomBelow(below: bigint): bigint {
  if (below <= BigInt(2 ** 47)) return BigInt(randomInt(Number(below)));
  const space = 1n << 128n;
  for (;;) {
    const drawn = BigInt(`0x${randomBytes(16).toString('hex')}`);
    if (drawn < space - (space % below)) return drawn % below;
  }
}
