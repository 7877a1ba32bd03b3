import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Config, readConfig, redactConfig, VARIABLES } from './config.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'hongbao-config-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const configOf = (env: NodeJS.ProcessEnv): Config => {
  const read = readConfig(env);
  if ('problems' in read) throw new Error(JSON.stringify(read.problems));
  return read.config;
};
const wrongIn = (env: NodeJS.ProcessEnv): string[] => {
  const read = readConfig(env);
  return 'problems' in read ? read.problems.map(({ variable }) => variable) : [];
};
const file = (name: string, content: unknown): string => {
  const at = path.join(folder, name);
  writeFileSync(at, typeof content === 'string' ? content : JSON.stringify(content));
  return at;
};

const edwards = generateKeyPairSync('ed25519');
const publicKey = edwards.publicKey.export({ format: 'jwk' });
const privateKey = edwards.privateKey.export({ format: 'jwk' });
const shared = { kty: 'oct', k: Buffer.alloc(32, 5).toString('base64url') };

describe('the configuration', () => {
  it('needs nothing', () => {
    expect(configOf({})).toEqual({
      port: 8080,
      host: '127.0.0.1',
      opsPort: 8081,
      dataFolder: path.resolve('.hongbao'),
      roles: ['gateway', 'creditor', 'wallet', 'control'],
      opsHost: '127.0.0.1',
      keysFolder: path.resolve('.hongbao/keys'),
      walletUrl: undefined,
      ledgerUrls: [],
      controlDatabaseUrl: undefined,
      cluster: undefined,
      payoutUrl: undefined,
      connectors: 'sandbox',
      sessionKeys: [],
      logLevel: 'warn',
      creditRate: undefined,
    });
  });

  it('takes an empty variable for one that is not set', () => {
    const empty = Object.fromEntries(Object.keys(VARIABLES).map((name) => [name, '']));
    expect(configOf(empty)).toEqual(configOf({}));
  });

  it('hands pieces out by the sandbox in one process, by a file, or not yet', () => {
    expect(configOf({ HONGBAO_CONNECTORS: 'a.yaml' }).connectors).toEqual({ file: path.resolve('a.yaml') });
    expect(configOf({ HONGBAO_CONNECTORS: 'embedded:' }).connectors).toBe('sandbox');
    const wallet = { ...CLUSTER, HONGBAO_ROLE: 'wallet' };
    expect(configOf(wallet).connectors).toBe('none');
    expect(readConfig(wallet)).toMatchObject({ warnings: [expect.stringMatching(/^HONGBAO_CONNECTORS/)] });
    const configured = { ...wallet, HONGBAO_CONNECTORS: 'embedded:' };
    expect([configOf(configured).connectors, readConfig(configured)]).toMatchObject([
      'sandbox',
      { warnings: [] },
    ]);
    expect(readConfig({ ...CLUSTER, HONGBAO_ROLE: 'gateway' })).toMatchObject({ warnings: [] });
  });

  it('puts operations on the port after the gateway’s', () =>
    expect(configOf({ HONGBAO_PORT: '9000' }).opsPort).toBe(9001));
  it('lets the system choose both ports', () =>
    expect(configOf({ HONGBAO_PORT: '0' })).toMatchObject({ port: 0, opsPort: 0 }));
  it('knows a credit rate of zero from none', () =>
    expect(configOf({ HONGBAO_CREDIT_RATE: '0' }).creditRate).toBe(0));
  it('reads the ledger’s address from a file, so that its password is in no environment', () => {
    const at = file('ledger', 'postgres://app:pw@db:5432/gala\n');
    expect(configOf({ HONGBAO_LEDGER_FILE: at }).ledgerUrls).toEqual(['postgres://app:pw@db:5432/gala']);
  });

  it.each<[string, string]>([
    ['HONGBAO_PORT', '80a'],
    ['HONGBAO_PORT', '-1'],
    ['HONGBAO_PORT', '1e3'],
    ['HONGBAO_PORT', '8080.5'],
    ['HONGBAO_PORT', ' 8080'],
    ['HONGBAO_PORT', '08080'],
    ['HONGBAO_PORT', '８０８０'],
    ['HONGBAO_PORT', '65536'],
    ['HONGBAO_PORT', '99999999999999999999'],
    ['HONGBAO_OPS_PORT', '8080'],
    ['HONGBAO_OPS_PORT', 'http'],
    ['HONGBAO_HOST', 'http://localhost'],
    ['HONGBAO_HOST', 'localhost:8080'],
    ['HONGBAO_HOST', '300.1.1.1'],
    ['HONGBAO_HOST', 'a b'],
    ['HONGBAO_LEDGER', 'db'],
    ['HONGBAO_LEDGER', 'mysql://db/gala'],
    ['HONGBAO_LEDGER', 'postgres://'],
    ['HONGBAO_LEDGER_FILE', '/nowhere/ledger'],
    ['HONGBAO_LEDGER', 'postgres://db/a postgres://db/a'],
    ['HONGBAO_LEDGER', 'postgres://db/a,mysql://db/b'],
    ['HONGBAO_CONTROL', 'postgres://db/a postgres://db/b'],
    ['HONGBAO_CONTROL_FILE', '/nowhere/control'],
    ['HONGBAO_CONTROL_URL', 'control:8080'],
    ['HONGBAO_WALLET_URL', 'wallet'],
    ['HONGBAO_BUCKETS', '0'],
    ['HONGBAO_BUCKETS', '1.5'],
    ['HONGBAO_BUCKETS', '1025'],
    ['HONGBAO_ROLE', 'gatekeeper'],
    ['HONGBAO_ROLE', 'gateway'],
    ['HONGBAO_OPS_HOST', 'a b'],
    ['HONGBAO_PAYOUT', 'payout.example'],
    ['HONGBAO_PAYOUT', 'ftp://payout.example'],
    ['HONGBAO_SESSION_KEYS_FILE', '/nowhere/keys.json'],
    ['HONGBAO_LOG_LEVEL', 'loud'],
    ['HONGBAO_CREDIT_RATE', 'fast'],
    ['HONGBAO_CREDIT_RATE', '-5'],
  ])('refuses %s=%s', (variable, value) => expect(wrongIn({ [variable]: value })).toEqual([variable]));

  const CLUSTER = {
    HONGBAO_LOG: 'nats://a:4222, nats://b:4222',
    HONGBAO_BOOK: 'redis://a:7000,redis://[::1]:7001',
    HONGBAO_LEDGER: 'postgres://one/gala postgres://two/gala',
    HONGBAO_PAYOUT: 'https://payout.example',
  };
  it('takes one part of a cluster, with its engines', () => {
    expect(configOf({ ...CLUSTER, HONGBAO_ROLE: 'wallet,gateway', HONGBAO_BUCKETS: '8' })).toMatchObject({
      roles: ['gateway', 'wallet'],
      ledgerUrls: ['postgres://one/gala', 'postgres://two/gala'],
      cluster: {
        space: 'hongbao',
        logUrl: 'nats://a:4222,b:4222',
        logMonitoringUrls: [],
        bookUrl: 'redis://a:7000,[::1]:7001',
        totalsUrls: ['redis://a:7000,[::1]:7001'],
        logReplicas: 3,
        buckets: 8,
        controlUrl: undefined,
      },
    });
  });
  it('takes the monitoring addresses of the log’s servers', () => {
    const told = { HONGBAO_LOG_MONITORING: 'http://a:8222/, https://b:8222' };
    expect(configOf({ ...CLUSTER, ...told }).cluster?.logMonitoringUrls).toEqual([
      'http://a:8222',
      'https://b:8222',
    ]);
    expect(wrongIn({ ...CLUSTER, HONGBAO_LOG_MONITORING: 'a:8222' })).toEqual(['HONGBAO_LOG_MONITORING']);
  });
  it('takes one password before every server as well as before the first', () => {
    const each = {
      HONGBAO_LOG: 'nats://me:pw@a:1, nats://me:pw@b:1',
      HONGBAO_BOOK: 'redis://:pw@a:7,redis://:pw@b:7',
    };
    expect(configOf({ ...CLUSTER, ...each }).cluster).toMatchObject({
      logUrl: 'nats://me:pw@a:1,b:1',
      bookUrl: 'redis://:pw@a:7,b:7',
    });
    const two = readConfig({ ...CLUSTER, HONGBAO_LOG: 'nats://me:pw@a:1,nats://you:pw@b:1' });
    expect(JSON.stringify(two)).toContain('a NATS URL looks like');
    expect(JSON.stringify(two)).not.toContain('you:pw');
  });

  it('reads addresses of servers from files, so that no password is in an environment', () => {
    const files = {
      HONGBAO_LOG_FILE: file('log', 'nats://app:pw@a:4222,b:4222\n'),
      HONGBAO_BOOK_FILE: file('book', 'redis://:pw@a:7000\n'),
      HONGBAO_TOTALS_FILE: file('totals', 'redis://:pw@t:1'),
      HONGBAO_TOTALS_BACKUP_FILE: file('backup', 'redis://:pw@u:1'),
    };
    const { HONGBAO_LOG: _log, HONGBAO_BOOK: _book, ...others } = CLUSTER;
    expect(configOf({ ...others, ...files }).cluster).toMatchObject({
      logUrl: 'nats://app:pw@a:4222,b:4222',
      bookUrl: 'redis://:pw@a:7000',
      totalsUrls: ['redis://:pw@t:1', 'redis://:pw@u:1'],
    });
    expect(wrongIn({ ...CLUSTER, HONGBAO_LOG_FILE: files.HONGBAO_LOG_FILE })).toContain('HONGBAO_LOG');
  });
  it('takes servers of their own for the totals, and others for their backup', () => {
    const own = { HONGBAO_TOTALS: 'redis://t:1', HONGBAO_TOTALS_BACKUP: 'redis://u:1, redis://v:1' };
    expect(configOf({ ...CLUSTER, ...own }).cluster?.totalsUrls).toEqual(['redis://t:1', 'redis://u:1,v:1']);
    expect(wrongIn(own)).toEqual(['HONGBAO_TOTALS', 'HONGBAO_TOTALS_BACKUP']);
  });
  it.each<[string, Partial<typeof CLUSTER> & Record<string, string>, string[]]>([
    ['log without a book', { HONGBAO_BOOK: '' }, ['HONGBAO_BOOK']],
    ['book without a log', { HONGBAO_LOG: '' }, ['HONGBAO_LOG']],
    ['part without a ledger', { HONGBAO_LEDGER: '', HONGBAO_ROLE: 'creditor' }, ['HONGBAO_LEDGER']],
    ['log of another kind', { HONGBAO_LOG: 'redis://a:1' }, ['HONGBAO_LOG']],
    ['backup that is no other', { HONGBAO_TOTALS_BACKUP: CLUSTER.HONGBAO_BOOK }, ['HONGBAO_TOTALS_BACKUP']],
    ['wallet without a payout', { HONGBAO_PAYOUT: '', HONGBAO_ROLE: 'wallet' }, ['HONGBAO_PAYOUT']],
  ])('refuses a %s', (_, change, wrong) => expect(wrongIn({ ...CLUSTER, ...change })).toEqual(wrong));

  it.each(['0.0.0.0', '::', '::1', 'localhost', 'gate-1.example'])('listens on %s', (host) =>
    expect(configOf({ HONGBAO_HOST: host }).host).toBe(host),
  );

  it('says everything that is wrong at once', () => {
    expect(
      wrongIn({
        HONGBAO_PORT: 'x',
        HONGBAO_LEDGER: 'x',
        HONGBAO_PAYOUT: 'x',
        HONGBAO_LOG_LEVEL: 'x',
        HONGBAO_CREDIT_RATE: 'x',
      }),
    ).toEqual([
      'HONGBAO_PORT',
      'HONGBAO_LEDGER',
      'HONGBAO_PAYOUT',
      'HONGBAO_LOG_LEVEL',
      'HONGBAO_CREDIT_RATE',
    ]);
  });

  it('refuses two ledgers', () => {
    expect(
      wrongIn({ HONGBAO_LEDGER: 'postgres://db/a', HONGBAO_LEDGER_FILE: file('other', 'postgres://db/b') }),
    ).toEqual(['HONGBAO_LEDGER']);
  });

  it('never repeats a ledger’s address in what it says of it', () => {
    expect(JSON.stringify(readConfig({ HONGBAO_LEDGER: 'mysql://app:pa55word@db/gala' }))).not.toContain(
      'pa55word',
    );
    expect(JSON.stringify(readConfig({ HONGBAO_PAYOUT: 'ftp://app:pa55word@payout' }))).not.toContain(
      'pa55word',
    );
  });

  it.each<[string, string]>([
    ['HONGBAO_PROT', 'HONGBAO_PORT'],
    ['HONGBAO_LEGER', 'HONGBAO_LEDGER'],
    ['HONGBAO_SESSION_KEY_FILE', 'HONGBAO_SESSION_KEYS_FILE'],
  ])('asks of %s whether %s was meant', (name, meant) => {
    const read = readConfig({ [name]: '1' });
    expect('warnings' in read && read.warnings).toEqual([expect.stringContaining(`did you mean ${meant}?`)]);
  });
  it('suggests nothing for a name like no other', () => {
    const read = readConfig({ HONGBAO_COMPLETELY_DIFFERENT_THING: '1' });
    expect('warnings' in read && read.warnings[0]).not.toContain('did you mean');
  });
});

describe('the session keys file', () => {
  it('gives each app its key, under one algorithm', () => {
    const at = file('keys.json', [
      { appId: 1, name: 'app', alg: 'EdDSA', key: publicKey },
      { appId: 2, name: 'tv', alg: 'HS256', key: shared, audience: 'gala' },
    ]);
    expect(
      configOf({ HONGBAO_SESSION_KEYS_FILE: at }).sessionKeys.map(({ name, alg, audience }) => [
        name,
        alg,
        audience,
      ]),
    ).toEqual([
      ['app', 'EdDSA', 'hongbao'],
      ['tv', 'HS256', 'gala'],
    ]);
  });

  it.each<[string, unknown]>([
    ['no JSON', '{'],
    ['an object', {}],
    ['an empty list', []],
    ['an app without a key', [{ appId: 1, name: 'app', alg: 'EdDSA' }]],
    ['alg none', [{ appId: 1, name: 'app', alg: 'none', key: shared }]],
    ['an app id of zero', [{ appId: 0, name: 'app', alg: 'HS256', key: shared }]],
    ['a public key under HS256', [{ appId: 1, name: 'app', alg: 'HS256', key: publicKey }]],
    ['a shared key under EdDSA', [{ appId: 1, name: 'app', alg: 'EdDSA', key: shared }]],
    ['a private key', [{ appId: 1, name: 'app', alg: 'EdDSA', key: privateKey }]],
    ['a public key cut short', [{ appId: 1, name: 'app', alg: 'EdDSA', key: { ...publicKey, x: 'AAAA' } }]],
    [
      'a public key without x',
      [{ appId: 1, name: 'app', alg: 'EdDSA', key: { kty: 'OKP', crv: 'Ed25519' } }],
    ],
    [
      'a shared key that can be guessed',
      [
        {
          appId: 1,
          name: 'app',
          alg: 'HS256',
          key: { kty: 'oct', k: Buffer.from('secret').toString('base64url') },
        },
      ],
    ],
    ['a shared key without k', [{ appId: 1, name: 'app', alg: 'HS256', key: { kty: 'oct' } }]],
    [
      'one name twice',
      [
        { appId: 1, name: 'app', alg: 'HS256', key: shared },
        { appId: 2, name: 'app', alg: 'EdDSA', key: publicKey },
      ],
    ],
    [
      'one app id twice',
      [
        { appId: 1, name: 'a', alg: 'HS256', key: shared },
        { appId: 1, name: 'b', alg: 'EdDSA', key: publicKey },
      ],
    ],
  ])('with %s is refused at start', (_name, content) => {
    expect(wrongIn({ HONGBAO_SESSION_KEYS_FILE: file('bad.json', content) })).toEqual([
      'HONGBAO_SESSION_KEYS_FILE',
    ]);
  });
});

describe('the redacted configuration', () => {
  it.each([
    'postgres://app:pa55word@db:5432/gala',
    'postgres://app:p%40pa55word@db/gala',
    'postgres://app:@pa55word@db/gala',
    'postgres://app:a:pa55word@db/gala',
    'postgres://db/gala?user=app&password=pa55word',
    'postgres://db/gala#pa55word',
  ])('holds no password of %s', (ledgerUrl) => {
    const printed = JSON.stringify(
      redactConfig({
        ...configOf({}),
        ledgerUrls: [ledgerUrl],
        controlDatabaseUrl: ledgerUrl,
        payoutUrl: ledgerUrl.replace('postgres:', 'https:'),
      }),
    );
    expect(printed).not.toContain('pa55word');
    expect(printed).toContain('gala');
  });

  it('holds no password of a cluster’s servers, wherever their addresses stand', () => {
    const cluster = {
      HONGBAO_LOG: 'nats://app:pa55word@log:4222',
      HONGBAO_LOG_MONITORING: 'http://app:pa55word@log:8222',
      HONGBAO_BOOK: 'redis://app:pa55word@book:6379',
      HONGBAO_LEDGER: 'postgres://app:pa55word@db/gala',
    };
    const others = {
      HONGBAO_TOTALS: 'redis://app:pa55word@totals:6379',
      HONGBAO_TOTALS_BACKUP: 'redis://:pa55word@backup:6379',
    };
    for (const env of [cluster, { ...cluster, ...others }]) {
      const printed = JSON.stringify(redactConfig(configOf(env)));
      expect(printed).not.toContain('pa55word');
      expect(printed).toContain('@book:6379');
    }
  });

  it('holds no session key', () => {
    const at = file('keys.json', [{ appId: 2, name: 'tv', alg: 'HS256', key: shared }]);
    expect(JSON.stringify(redactConfig(configOf({ HONGBAO_SESSION_KEYS_FILE: at })))).not.toContain(shared.k);
  });
});

describe('docs/operations.md', () => {
  it('lists every variable, word for word', () => {
    const rows = Object.entries(VARIABLES).map(([name, meaning]) => `| \`${name}\` | ${meaning} |`);
    const page = readFileSync('docs/operations.md', 'utf8');
    const listed = page.split('\n').filter((line) => line.startsWith('| `HONGBAO_'));
    // The formatter aligns the columns.
    expect(listed.map((line) => line.replaceAll(/ +\|/g, ' |'))).toEqual(rows);
  });
});
