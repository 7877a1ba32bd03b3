import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { type Fen, formatYuan } from '../../vocabulary/fen.ts';
import {
  ask,
  demoSession,
  findTarget,
  insist,
  readPocket,
  type Target,
  type TargetOptions,
  writePocket,
} from './engine-client.ts';
import { CliFailure, EXIT, type Output, print } from './output.ts';

export interface PlayerOptions extends TargetOptions, Output {
  readonly user: string;
  readonly session?: string | undefined;
}

/** What an HTTP header can carry. */
const VISIBLE = /^[\x21-\x7e]+$/;
const KEY_CHARACTERS_MAX = 255;

const yuan = (amountFen: unknown): string => `¥${formatYuan(BigInt(amountFen as number) as Fen)}`;

async function signIn(options: PlayerOptions): Promise<{ target: Target; bearer: string; route: string }> {
  const target = findTarget(options);
  if (options.session !== undefined && !VISIBLE.test(options.session))
    throw new CliFailure(EXIT.usage, '--session is a JWT: letters, digits and dots on one line.', {
      code: 'usage',
    });
  const bearer = options.session ?? (await demoSession(target, options.user));
  return { target, bearer, route: `/v1/campaigns/${encodeURIComponent(target.campaign)}` };
}

/** Shakes until something other than nothing comes, at most `times`; opens a packet if it is one. */
export async function shakeCommand(
  options: PlayerOptions & { times: number; intervalMs: number },
): Promise<void> {
  const { target, bearer, route } = await signIn(options);
  const pocket = readPocket(options.dataFolder, target, options.user);
  let answer: Record<string, unknown> = { prize: 'nothing' };
  let shakes = 0;
  while (shakes < options.times && answer.prize === 'nothing') {
    if (shakes > 0) await delay(options.intervalMs);
    shakes += 1;
    answer = await shakeOnce(target, route, bearer, pocket.claimRecord);
    if (typeof answer.claimRecord === 'string') pocket.claimRecord = answer.claimRecord;
  }
  const common = { user: options.user, campaign: target.campaign, shakes };
  if (answer.prize === 'ticket') {
    writePocket(options.dataFolder, target, options.user, pocket);
    const packet = await insist(() =>
      ask(target.url, `${route}/packets`, { bearer, body: { ticket: answer.ticket } }),
    );
    pocket.tokens[packet.orderNumber as string] = packet.token as string;
    writePocket(options.dataFolder, target, options.user, pocket);
    const sponsor = answer.sponsor as { en: string; zh: string };
    return print(
      options,
      {
        ...common,
        result: 'packet',
        amountFen: packet.amountFen,
        orderNumber: packet.orderNumber,
        sponsorId: packet.sponsorId,
        sponsor,
        bill: packet.bill,
        drawnAtMs: packet.drawnAtMs,
        token: packet.token,
      },
      `🧧 ${yuan(packet.amountFen)} from ${sponsor.en} · ${sponsor.zh}送你 ${yuan(packet.amountFen)}`,
    );
  }
  if (answer.prize === 'greeting') {
    const text = answer.text as { en: string; zh: string };
    return print(
      options,
      { ...common, result: 'greeting', sponsorId: answer.sponsorId, text },
      `💌 ${text.en} · ${text.zh}`,
    );
  }
  return print(
    options,
    { ...common, result: 'nothing' },
    `Nothing this time, after ${shakes} shakes · 摇了 ${shakes} 次，再接再厉`,
  );
}

/** A stale claim record (another data folder's, say) is dropped, as a phone would. */
async function shakeOnce(
  target: Target,
  route: string,
  bearer: string,
  claimRecord: string | undefined,
): Promise<Record<string, unknown>> {
  const shake = (body: object) => insist(() => ask(target.url, `${route}/shakes`, { bearer, body }));
  try {
    return await shake(claimRecord ? { claimRecord } : {});
  } catch (error) {
    if (!claimRecord || !(error instanceof CliFailure) || error.details.code !== 'claim-invalid') throw error;
    return shake({});
  }
}

interface PieceLine {
  readonly state: string;
  readonly drawnAtMs: number;
  readonly bill: { readonly en: string; readonly zh: string };
  readonly voucher?: string;
}

/** A piece has no amount of its own: its place says where it is, and the code once it is there. */
const pieceText = ({ state, drawnAtMs, bill, voucher }: PieceLine): string => {
  const at = new Date(drawnAtMs).toISOString().slice(0, 19);
  return `  ${at}  ${state.padStart(10)}  ${bill.en} · ${bill.zh}${voucher === undefined ? '' : `  ${voucher}`}`;
};

export async function walletCommand(options: PlayerOptions): Promise<void> {
  const { target, bearer, route } = await signIn(options);
  const pocket = readPocket(options.dataFolder, target, options.user);
  const wallet = await insist(() =>
    ask(target.url, `${route}/wallet`, { bearer, body: { tokens: Object.values(pocket.tokens) } }),
  );
  const records = wallet.records as {
    kind: string;
    amountFen: number;
    status: string;
    bill: { en: string; zh: string };
    ref: string;
    atMs: number;
  }[];
  for (const record of records) if (record.status === 'credited') delete pocket.tokens[record.ref];
  writePocket(options.dataFolder, target, options.user, pocket);
  const lines = records.map(
    (record) =>
      `  ${new Date(record.atMs).toISOString().slice(0, 19)}  ${yuan(record.amountFen).padStart(10)}  ${record.bill.en} · ${record.bill.zh}${record.kind === 'withdrawal' ? ` (${record.status})` : ''}`,
  );
  const text = [
    `Balance · 余额      ${yuan(wallet.balanceFen)}`,
    `Income · 累计收入  ${yuan(wallet.totalIncomeFen)}`,
    ...lines,
    ...((wallet.awards ?? []) as PieceLine[]).map(pieceText),
  ].join('\n');
  print(options, { user: options.user, campaign: target.campaign, ...wallet }, text);
}

export async function withdrawCommand(
  options: PlayerOptions & {
    amount: number;
    idempotencyKey?: string | undefined;
    wait: boolean;
    timeoutMs: number;
  },
): Promise<void> {
  const idempotencyKey = options.idempotencyKey ?? randomUUID();
  if (!VISIBLE.test(idempotencyKey) || idempotencyKey.length > KEY_CHARACTERS_MAX) {
    throw new CliFailure(
      EXIT.usage,
      `--idempotency-key is 1 to ${KEY_CHARACTERS_MAX} visible ASCII characters, e.g. order-42.`,
      { code: 'usage' },
    );
  }
  const { target, bearer, route } = await signIn(options);
  const pocket = readPocket(options.dataFolder, target, options.user);
  const body = { amountFen: options.amount, tokens: Object.values(pocket.tokens) };
  const asked = await insist(() =>
    ask(target.url, `${route}/withdrawals`, { bearer, body, headers: { 'idempotency-key': idempotencyKey } }),
  );
  let withdrawal = asked;
  const until = performance.now() + options.timeoutMs;
  while (
    options.wait &&
    withdrawal.state !== 'paid' &&
    withdrawal.state !== 'returned' &&
    performance.now() < until
  ) {
    await delay(150);
    withdrawal = await insist(() =>
      ask(target.url, `${route}/withdrawals/${asked.withdrawalId}`, { bearer }),
    );
  }
  const said: Record<string, string> = {
    paid: 'paid · 已到账',
    returned: 'returned to the wallet · 已退回钱包',
    held: 'on its way · 处理中',
    paying: 'on its way · 处理中',
  };
  print(
    options,
    { user: options.user, campaign: target.campaign, ...withdrawal },
    `${yuan(withdrawal.amountFen)} ${said[withdrawal.state as string] ?? withdrawal.state}`,
  );
  if (withdrawal.state === 'returned') process.exitCode = EXIT.refused;
}
