import { execFile } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type SdkRig, startSdkRig } from '../support/sdk.ts';

const run = promisify(execFile);
const repository = process.cwd();
const QUIET_NPM = { ...process.env, npm_config_offline: 'true', npm_config_update_notifier: 'false' };

/** A service of somebody else, with the packed package in its node_modules, and what npm would install beside it. */
async function startConsumer(): Promise<string> {
  const folder = realpathSync(mkdtempSync(path.join(tmpdir(), 'hongbao-consumer-')));
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', folder], {
    cwd: repository,
    env: QUIET_NPM,
    maxBuffer: 64 * 1024 * 1024,
  });
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf('[\n'))) as [{ filename: string }];
  const modules = path.join(folder, 'node_modules');
  mkdirSync(path.join(modules, '@types'), { recursive: true });
  await run('tar', ['-xzf', path.join(folder, packed.filename), '-C', folder]);
  const { name, dependencies } = JSON.parse(
    readFileSync(path.join(folder, 'package/package.json'), 'utf8'),
  ) as {
    name: string;
    dependencies: Record<string, string>;
  };
  await run('mv', [path.join(folder, 'package'), path.join(modules, name)]);
  for (const beside of [...Object.keys(dependencies), '@types/node']) {
    const link = path.join(modules, beside);
    mkdirSync(path.dirname(link), { recursive: true });
    symlinkSync(realpathSync(path.join(repository, 'node_modules', beside)), link);
  }
  writeFileSync(path.join(folder, 'package.json'), JSON.stringify({ type: 'module', private: true }));
  return folder;
}

const SERVICE = `
import { createGrantClient } from 'hongbao/grants';
import { isRefusal, openHongbao, RetryableFault } from 'hongbao';

const { URL_OF_GATEWAY, DATABASE, KEYS } = process.env;
const grants = createGrantClient({ url: URL_OF_GATEWAY ?? '', secret: 'hbu_x', encoding: 'json' });
const given = await grants.grant({
  campaignId: 'gala', sceneId: 'fireworks', rainId: 1, app: 'demo', user: 'zoe', amountFen: 500, drawnAtMs: 1_800_000_000_000,
});
const hongbao = await openHongbao({ databaseUrl: DATABASE ?? '', keysFolder: KEYS ?? '' });
const balance = await hongbao.balance('gala', { app: 'demo', user: 'zoe' });
const strange = await hongbao.balance('nothing', { app: 'demo', user: 'zoe' });
await hongbao.close();
console.log(JSON.stringify({
  outcome: given.outcome,
  balanceFen: isRefusal(balance) ? 'refused' : String(balance.balanceFen),
  strange: isRefusal(strange) ? strange.refused : 'answered',
  fault: new RetryableFault('log-unavailable', 'x', 1) instanceof Error,
}));
`;

describe('the package as npm packs it', () => {
  let folder: string;
  let rig: SdkRig;
  let gateway: Server;
  beforeAll(async () => {
    folder = await startConsumer();
    rig = await startSdkRig();
    gateway = createServer((_, response) => {
      response.setHeader('content-type', 'application/json');
      response.end(
        JSON.stringify({
          outcome: 'granted',
          orderNumber: '1_fireworks_1_cash_live',
          sceneId: 'fireworks',
          awardType: 'cash',
          amountFen: 500,
          worthFen: 500,
          drawnAtMs: 1_800_000_000_000,
          consolation: false,
          low: false,
          replayed: false,
        }),
      );
    });
    await new Promise<void>((done) => gateway.listen(0, '127.0.0.1', done));
  }, 240_000);
  afterAll(async () => {
    gateway?.close();
    await rig?.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('is imported by name in plain Node: the grant client, and the library on the engine’s stores', async () => {
    writeFileSync(path.join(folder, 'service.js'), SERVICE);
    const { stdout } = await run(process.execPath, ['service.js'], {
      cwd: folder,
      env: {
        ...process.env,
        URL_OF_GATEWAY: `http://127.0.0.1:${(gateway.address() as AddressInfo).port}`,
        DATABASE: rig.databaseUrl,
        KEYS: rig.keysFolder,
      },
    });
    expect(JSON.parse(stdout)).toEqual({
      outcome: 'granted',
      balanceFen: '0',
      strange: 'campaign-unknown',
      fault: true,
    });
  });

  it('has types: what is right compiles as strictly as can be, and what is wrong is told', async () => {
    const wrong = [
      "const asks: number = createGrantClient({ url: 'x', secret: 'y' }).grant;",
      'if (!isRefusal(balance)) { const text: string = balance.balanceFen; }',
    ];
    writeFileSync(path.join(folder, 'right.ts'), SERVICE);
    writeFileSync(path.join(folder, 'wrong.ts'), `${SERVICE}\n${wrong.join('\n')}\n`);
    const tsc = (file: string) =>
      run(
        path.join(repository, 'node_modules/.bin/tsc'),
        [file, '--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023', '--types', 'node'],
        { cwd: folder },
      );
    await tsc('right.ts');
    const told = await tsc('wrong.ts').catch(({ stdout }: { stdout: string }) => stdout);
    expect(String(told).match(/error TS2322/g)).toHaveLength(2);
  });

  it('shows nothing but its doors, and brings what its command needs', async () => {
    writeFileSync(path.join(folder, 'strange.js'), "await import('hongbao/dist/sdk/index.js');\n");
    await expect(run(process.execPath, ['strange.js'], { cwd: folder })).rejects.toThrow(
      /ERR_PACKAGE_PATH_NOT_EXPORTED/,
    );
    const { stdout } = await run(process.execPath, ['node_modules/hongbao/bin/hongbao.mjs', '--version'], {
      cwd: folder,
    });
    expect(stdout).toMatch(/^\d+\.\d+\.\d+/);
  });
});
