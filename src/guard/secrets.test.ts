import { describe, expect, it } from 'vitest';
import { bearerOf, createCredentialCheck, newSecret, secretHash } from './secrets.ts';

describe('the Authorization header', () => {
  it.each<[string | undefined, string | undefined]>([
    ['Bearer abc', 'abc'],
    ['bearer abc', 'abc'],
    ['Bearer   abc', 'abc'],
    [undefined, undefined],
    ['', undefined],
    ['Bearer', undefined],
    ['Bearer ', undefined],
    ['Basic abc', undefined],
    ['Bearer a b', undefined],
    ['Bearer a\nb', undefined],
    ['Bearer 钥', undefined],
    [`Bearer ${'a'.repeat(4_097)}`, undefined],
  ])('%j holds %j', (header, expected) => expect(bearerOf(header)).toBe(expected));
});

describe('a credential', () => {
  it('is found by the hash of its secret only, and remembered, whether there is one or not', async () => {
    const asked: string[] = [];
    const right = newSecret('hbu');
    const check = createCredentialCheck(async (hash) => {
      asked.push(Buffer.from(hash).toString('hex'));
      return secretHash(right).equals(hash) ? { name: 'tv' } : undefined;
    }, 60_000);
    expect(await check(right)).toEqual({ name: 'tv' });
    expect(await check(right)).toEqual({ name: 'tv' });
    expect(await check('hbu_wrong')).toBeUndefined();
    expect(await check('hbu_wrong')).toBeUndefined();
    expect(await check(undefined)).toBeUndefined();
    expect(asked).toHaveLength(2);
  });

  it('is asked for again when the last asking failed', async () => {
    let isUp = false;
    const check = createCredentialCheck(async () => {
      if (!isUp) throw new Error('control is away');
      return { name: 'tv' };
    }, 60_000);
    await expect(check('hbu_x')).rejects.toThrow('away');
    isUp = true;
    expect(await check('hbu_x')).toEqual({ name: 'tv' });
  });

  it('has a secret of 256 bits that tells its kind', () => {
    const secrets = Array.from({ length: 100 }, () => newSecret('hbo'));
    expect(new Set(secrets).size).toBe(100);
    for (const secret of secrets) expect(secret).toMatch(/^hbo_[A-Za-z0-9_-]{43}$/);
  });
});
