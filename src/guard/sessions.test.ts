import { createHmac, generateKeyPairSync } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { isRefusal } from '../protocol/failures.ts';
import type { ActId, AppId } from '../vocabulary/ids.ts';
import { type Clock, instantMs } from '../vocabulary/instant.ts';
import { aloneAs, idsOf, type Person } from '../vocabulary/person.ts';
import { createSessions, isUserName, type Session, type SessionKey } from './sessions.ts';

const NOW_S = 1_800_000_000;
const edwards = generateKeyPairSync('ed25519');
const publicJwk = edwards.publicKey.export({ format: 'jwk' });
const shared = Buffer.alloc(32, 7);
const otherShared = Buffer.alloc(32, 8);

const KEYS: readonly SessionKey[] = [
  {
    appId: 1 as AppId,
    name: 'wallet-app',
    alg: 'EdDSA',
    key: publicJwk as SessionKey['key'],
    audience: 'hongbao',
  },
  {
    appId: 2 as AppId,
    name: 'tv',
    alg: 'HS256',
    key: { kty: 'oct', k: shared.toString('base64url') },
    audience: 'hongbao',
  },
  {
    appId: 3 as AppId,
    name: 'radio',
    alg: 'HS256',
    key: { kty: 'oct', k: otherShared.toString('base64url') },
    audience: 'other',
  },
];

function rig(overrides: Partial<Parameters<typeof createSessions>[0]> = {}) {
  let nowMs = NOW_S * 1_000;
  const clock: Clock = { now: () => instantMs(nowMs), monotonicMs: () => nowMs };
  const people = new Map<string, ActId>();
  const persons = new Map<ActId, Person>();
  const phones: (string | undefined)[] = [];
  let changes = 0;
  let asked = 0;
  const sessions = createSessions({
    keys: KEYS,
    clock,
    identities: {
      find: async (appId, user, phone) => {
        asked += 1;
        phones.push(phone);
        const name = `${appId}/${user}`;
        if (!people.has(name)) people.set(name, BigInt(people.size + 1) as ActId);
        return people.get(name)!;
      },
      person: async (given) => persons.get(given) ?? aloneAs(given),
      remembered: (given) => persons.get(given),
      changes: () => changes,
    },
    ...overrides,
  });
  const join = (person: Person) => {
    changes += 1;
    for (const actId of idsOf(person)) persons.set(actId, person);
  };
  return { sessions, join, phones, asked: () => asked, passMs: (ms: number) => (nowMs += ms) };
}

type Json = Record<string, unknown>;
const part = (value: Json): string => Buffer.from(JSON.stringify(value)).toString('base64url');
const CLAIMS: Json = { iss: 'tv', aud: 'hongbao', sub: 'alice', exp: NOW_S + 3_600 };

/** Made by hand, so that anything can be wrong with it. */
function hs256(claims: Json, options: { secret?: Buffer | string; header?: Json } = {}): string {
  const signed = `${part(options.header ?? { alg: 'HS256' })}.${part(claims)}`;
  return `${signed}.${createHmac('sha256', options.secret ?? shared)
    .update(signed)
    .digest('base64url')}`;
}

async function eddsa(claims: Json, header: Json = { alg: 'EdDSA' }): Promise<string> {
  const { sign } = await import('node:crypto');
  const signed = `${part(header)}.${part(claims)}`;
  return `${signed}.${sign(null, Buffer.from(signed), edwards.privateKey).toString('base64url')}`;
}

const codeOf = async (jwt: string | undefined): Promise<string> => {
  const answer = await rig().sessions.authenticate(jwt);
  return isRefusal(answer) ? answer.refused : 'taken';
};
const { exp: _, ...withoutExp } = CLAIMS;
const { sub: __, ...withoutSub } = CLAIMS;
const [head, body, signature] = hs256(CLAIMS).split('.') as [string, string, string];

describe('a session', () => {
  it.each<[string, string | undefined, string]>([
    ['as it should be', hs256(CLAIMS), 'taken'],
    ['with our audience among others', hs256({ ...CLAIMS, aud: ['x', 'hongbao'] }), 'taken'],
    [
      'for an app with an audience of its own',
      hs256({ ...CLAIMS, iss: 'radio', aud: 'other' }, { secret: otherShared }),
      'taken',
    ],
    ['that is missing', undefined, 'session-missing'],
    ['that is empty', '', 'session-missing'],
    ['that is no JWT', 'alice', 'session-invalid'],
    ['with a space in it', ` ${hs256(CLAIMS)}`, 'session-invalid'],
    ['of five parts', `${hs256(CLAIMS)}.a.b`, 'session-invalid'],
    ['that is huge', hs256({ ...CLAIMS, pad: 'x'.repeat(100_000) }), 'session-invalid'],
    ['with alg none', `${part({ alg: 'none' })}.${body}.`, 'session-invalid'],
    ['with alg none and a signature', `${part({ alg: 'none' })}.${body}.${signature}`, 'session-invalid'],
    ['with alg HS512', hs256(CLAIMS, { header: { alg: 'HS512' } }), 'session-invalid'],
    ['without alg', hs256(CLAIMS, { header: {} }), 'session-invalid'],
    [
      'with a key of its own in the header',
      hs256(CLAIMS, { secret: otherShared, header: { alg: 'HS256', jwk: KEYS[2]!.key } }),
      'session-invalid',
    ],
    [
      'with a critical header that we do not know',
      hs256(CLAIMS, { header: { alg: 'HS256', crit: ['x'], x: 1 } }),
      'session-invalid',
    ],
    ['with another app’s key', hs256(CLAIMS, { secret: otherShared }), 'session-invalid'],
    [
      'that names another app than its key’s',
      hs256({ ...CLAIMS, iss: 'radio', aud: 'other' }),
      'session-invalid',
    ],
    ['of an unknown app', hs256({ ...CLAIMS, iss: 'nobody' }), 'session-invalid'],
    ['of no app', hs256({ aud: 'hongbao', sub: 'alice', exp: NOW_S + 9 }), 'session-invalid'],
    ['whose issuer is a list', hs256({ ...CLAIMS, iss: ['tv'] }), 'session-invalid'],
    ['for another audience', hs256({ ...CLAIMS, aud: 'bank' }), 'session-invalid'],
    ['for no audience', hs256({ iss: 'tv', sub: 'alice', exp: NOW_S + 9 }), 'session-invalid'],
    [
      'signed with the public key as if it were shared',
      hs256({ ...CLAIMS, iss: 'wallet-app' }, { secret: Buffer.from(publicJwk.x!, 'base64url') }),
      'session-invalid',
    ],
    [
      'signed with the public key’s text',
      hs256({ ...CLAIMS, iss: 'wallet-app' }, { secret: publicJwk.x! }),
      'session-invalid',
    ],
    [
      'with claims that were changed',
      `${head}.${part({ ...CLAIMS, sub: 'bob' })}.${signature}`,
      'session-invalid',
    ],
    ['without a signature', `${head}.${body}.`, 'session-invalid'],
    ['that expired', hs256({ ...CLAIMS, exp: NOW_S - 31 }), 'session-expired'],
    ['that expired within the tolerance', hs256({ ...CLAIMS, exp: NOW_S - 29 }), 'taken'],
    ['without an expiry', hs256(withoutExp), 'session-invalid'],
    ['whose expiry is a text', hs256({ ...CLAIMS, exp: '9999999999' }), 'session-invalid'],
    ['that lives for a day', hs256({ ...CLAIMS, exp: NOW_S + 86_400 }), 'taken'],
    ['that lives for longer than a day', hs256({ ...CLAIMS, exp: NOW_S + 86_431 }), 'session-invalid'],
    ['that lives for ever', hs256({ ...CLAIMS, exp: 1e300 }), 'session-invalid'],
    ['that is not valid yet', hs256({ ...CLAIMS, nbf: NOW_S + 31 }), 'session-invalid'],
    ['that is valid within the tolerance', hs256({ ...CLAIMS, nbf: NOW_S + 29 }), 'taken'],
    ['of nobody', hs256(withoutSub), 'session-invalid'],
    ['of an empty name', hs256({ ...CLAIMS, sub: '' }), 'session-invalid'],
    ['of a number', hs256({ ...CLAIMS, sub: 42 }), 'session-invalid'],
    ['of a name of 128 characters', hs256({ ...CLAIMS, sub: 'a'.repeat(128) }), 'taken'],
    ['of a name of 129 characters', hs256({ ...CLAIMS, sub: 'a'.repeat(129) }), 'session-invalid'],
    ['of a name with a NUL', hs256({ ...CLAIMS, sub: 'a\0b' }), 'session-invalid'],
    ['of a name in Chinese', hs256({ ...CLAIMS, sub: '张三 🧧' }), 'taken'],
  ])('%s', async (_name, jwt, expected) => expect(await codeOf(jwt)).toBe(expected));

  it('signed with Ed25519 is taken, and only under that algorithm', async () => {
    const claims = { ...CLAIMS, iss: 'wallet-app' };
    expect(await codeOf(await eddsa(claims))).toBe('taken');
    expect(await codeOf(await eddsa(claims, { alg: 'HS256' }))).toBe('session-invalid');
    expect(await codeOf(await eddsa({ ...claims, iss: 'tv' }))).toBe('session-invalid');
  });

  it('is one person’s in one app: the same each time, another for each user and app', async () => {
    const { sessions } = rig();
    const idOf = async (jwt: string) => ((await sessions.authenticate(jwt)) as { actId: ActId }).actId;
    const alice = await idOf(hs256(CLAIMS));
    expect(await idOf(hs256({ ...CLAIMS, exp: NOW_S + 60 }))).toBe(alice);
    expect(await idOf(hs256({ ...CLAIMS, sub: 'bob' }))).not.toBe(alice);
    expect(await idOf(await eddsa({ ...CLAIMS, iss: 'wallet-app' }))).not.toBe(alice);
  });

  it('that was taken once is not taken after its end', async () => {
    const { sessions, passMs } = rig();
    const jwt = hs256({ ...CLAIMS, exp: NOW_S + 60 });
    expect(isRefusal(await sessions.authenticate(jwt))).toBe(false);
    passMs(91_000);
    expect(await sessions.authenticate(jwt)).toMatchObject({ refused: 'session-expired' });
  });

  it('of a person who was joined with another is that person’s, at once and for connections too', async () => {
    const { sessions, join } = rig();
    const [first, second] = ['alice', 'bob'].map((sub) => hs256({ ...CLAIMS, sub }));
    const alice = (await sessions.authenticate(first)) as Session;
    const bob = (await sessions.authenticate(second)) as Session;
    expect(sessions.current(bob)).toBe(bob);
    join({ actId: alice.actId, aliases: [bob.actId] });
    const joined = { actId: alice.actId, aliases: [bob.actId] };
    expect(await sessions.authenticate(second)).toMatchObject(joined);
    expect(sessions.current(bob)).toMatchObject({ ...joined, given: bob.actId, appId: 2 });
    expect(sessions.current(alice)).toMatchObject(joined);
  });

  it.each<[string, Json, string]>([
    ['with a phone number', { phone_number: '+86 138 0013 8000' }, '+8613800138000'],
    [
      'with a verified one',
      { phone_number: '+8613800138000', phone_number_verified: true },
      '+8613800138000',
    ],
    [
      'with one that is not verified',
      { phone_number: '+8613800138000', phone_number_verified: false },
      'none',
    ],
    ['without one', {}, 'none'],
    ['with one that is no number', { phone_number: '13800138000' }, 'session-invalid'],
    ['with a list of them', { phone_number: ['+8613800138000'] }, 'session-invalid'],
  ])('%s: %j binds %s', async (_name, claims, expected) => {
    const { sessions, phones } = rig();
    const answer = await sessions.authenticate(hs256({ ...CLAIMS, ...claims }));
    expect(isRefusal(answer) ? answer.refused : (phones[0] ?? 'none')).toBe(expected);
    // Nobody reads the number in an answer or a log.
    expect(
      JSON.stringify(answer, (_key, value) => (typeof value === 'bigint' ? `${value}` : value)),
    ).not.toContain('13800138000');
  });

  it('is never made of random text, and nothing throws (100,000 texts)', async () => {
    const { sessions, asked } = rig();
    const texts = fc.oneof(
      fc.string({ maxLength: 60 }),
      fc.string({ unit: 'binary', maxLength: 40 }),
      fc.stringMatching(/^[A-Za-z0-9_-]{1,20}\.[A-Za-z0-9_-]{1,20}\.[A-Za-z0-9_-]{1,20}$/),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(texts, { minLength: 100, maxLength: 100 }), async (some) => {
        for (const text of some)
          if (!isRefusal(await sessions.authenticate(text))) throw new Error(`taken: ${text}`);
      }),
      { numRuns: 1_000 },
    );
    expect(asked()).toBe(0);
  });

  it('with any one character changed is refused', async () => {
    const jwt = await eddsa({ ...CLAIMS, iss: 'wallet-app' });
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.';
    const { sessions } = rig();
    for (let at = 0; at < jwt.length; at += 1) {
      const other = alphabet[(alphabet.indexOf(jwt[at]!) + 32) % alphabet.length]!;
      expect(
        await sessions.authenticate(jwt.slice(0, at) + other + jwt.slice(at + 1)),
        `character ${at}`,
      ).toHaveProperty('refused');
    }
  });
});

describe('a user’s name', () => {
  it.each<[unknown, boolean]>([
    ['a', true],
    ['\ud800', false],
    ['a\u0085', false],
    ['a\tb', false],
    [null, false],
    [{ length: 3 }, false],
    ['0123456789abcdef'.repeat(8), true],
  ])('%j: %s', (name, expected) => expect(isUserName(name)).toBe(expected));
});
