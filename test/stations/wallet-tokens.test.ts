import { describe, expect, it } from 'vitest';
import { isRefusal, refuse } from '../../src/protocol/failures.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { Order } from '../../src/vocabulary/order.ts';
import { formatOrderNumber } from '../../src/vocabulary/order-number.ts';
import { playerOf, testCampaign } from '../support/campaign.ts';
import { moneyNight } from '../support/money-night.ts';
import { anOrder } from '../support/orders.ts';
import { ledgerFaults } from '../support/rig.ts';

describe('the wallet with the tokens that a phone shows', () => {
  const night = moneyNight('wallet-tokens');
  const bookForgets = () => {
    const forgetful = { ...night.promises, book: { ...night.promises.book, isWhole: async () => false } };
    return night.reopen({
      promises: () => forgetful,
      repromise: async () => refuse('slice-fenced', 'its slice is closed by now'),
    });
  };

  it('does not take for all there is what was read in the moment before the book was filled', async () => {
    const won = night.orderOf(1);
    await night.promises.promise([won]);
    let isFilled = false;
    const outstandingOf = async (): Promise<never[]> => {
      isFilled = true;
      return [];
    };
    const book = { ...night.promises.book, outstandingOf, isWhole: async () => isFilled };
    await night.reopen({ promises: () => ({ ...night.promises, book }) });
    const tokens = [night.money.tokenOf(won)];
    expect(await night.overview(tokens)).toMatchObject({ balanceFen: 101n, complete: false });
    isFilled = false;
    const held = await night.money.withdrawals.request(playerOf(night.person), testCampaign, {
      amountFen: 101n as Fen,
      idempotencyKey: `filled-${night.person}`,
      tokens,
    });
    expect(isRefusal(held)).toBe(false);
  });

  it('counts them as they are, and raises no alarm, while the book may have forgotten some', async () => {
    const [kept, forgotten] = [night.orderOf(1), night.orderOf(2)];
    await night.promises.promise([kept]);
    await bookForgets();
    expect(await night.overview()).toMatchObject({ balanceFen: 101n, complete: false });
    // While the book is away two gateways seal one order apart: other bytes, and one packet.
    const tokens = [kept, forgotten, forgotten].map((order) => night.money.tokenOf(order));
    expect(new Set(tokens).size).toBe(3);
    expect(await night.overview(tokens)).toMatchObject({
      balanceFen: 203n,
      complete: false,
      refusedTokens: [],
    });
    expect(night.money.unrecorded.count).toBe(0);
    // What is shown can be taken (I3).
    const held = await night.money.withdrawals.request(playerOf(night.person), testCampaign, {
      amountFen: 203n as Fen,
      idempotencyKey: `forgetful-${night.person}`,
      tokens,
    });
    expect(isRefusal(held)).toBe(false);
  });

  it.each([
    ['that the server knows', false],
    ['while the book has forgotten them', true],
  ])('takes those of an alias, %s, from the person and from nobody else', async (_, isForgotten) => {
    const alias = playerOf(9_000 + night.person).actId;
    const orders = [night.orderOf(1), { ...night.orderOf(2), actId: alias }].map((order) => ({
      ...order,
      orderNumber: formatOrderNumber({ ...order, stage: order.phaseId }),
    }));
    const tokens = orders.map((order) => night.money.tokenOf(order));
    const stranger = await night.overview(tokens);
    expect(stranger.refusedTokens).toEqual([{ index: 1, code: 'token-foreign' }]);
    if (isForgotten) await bookForgets();
    const joined = { ...playerOf(night.person), aliases: [alias] };
    const shown = await night.money.wallet.overview(joined, testCampaign, tokens);
    expect(shown).toMatchObject({ balanceFen: 203n, refusedTokens: [], complete: !isForgotten });
    // All of it can be taken at once, though the packets lie in two accounts, and one of them on the phone alone.
    const ask = { amountFen: 203n as Fen, idempotencyKey: `joined-${night.person}`, tokens };
    const held = await night.money.withdrawals.request(joined, testCampaign, ask);
    expect(isRefusal(held) ? held.detail : held.amountFen).toBe(203n);
    expect(await night.money.withdrawals.request(joined, testCampaign, ask)).toEqual(held);
    expect(await ledgerFaults(night.rig.pool)).toEqual([]);
  });

  it('counts in what the server has no record of, once, and raises the alarm', async () => {
    const order = night.orderOf(1);
    const token = night.money.tokenOf(order);
    const shown = await night.overview([token, token]);
    expect([shown.balanceFen, shown.refusedTokens, night.money.unrecorded.count]).toEqual([101n, [], 1]);
    await night.overview([token]);
    expect([night.money.unrecorded.count, night.promises.log.end()]).toEqual([1, 1]);
    await night.creditAll();
    expect(await night.overview([token])).toMatchObject({ balanceFen: 101n, creditedFen: 101n });
  });

  it('ignores what the server has, credited or not', async () => {
    const order = night.orderOf(1);
    await night.promises.promise([order]);
    expect((await night.overview([night.money.tokenOf(order)])).balanceFen).toBe(101n);
    await night.rig.ledger.credit([order]);
    await night.promises.book.advance([order], 8);
    expect((await night.overview([night.money.tokenOf(order)])).balanceFen).toBe(101n);
    expect([night.money.unrecorded.count, night.promises.log.end()]).toEqual([0, 1]);
  });

  it('does not count twice what only the ledger still has', async () => {
    const order = night.orderOf(1);
    await night.rig.ledger.credit([order]);
    expect(await night.overview([night.money.tokenOf(order)])).toMatchObject({
      balanceFen: 101n,
      outstandingFen: 0n,
    });
  });

  it('refuses each bad one by itself, and counts the good ones', async () => {
    const good = night.money.tokenOf(night.orderOf(1));
    const stranger = night.money.tokenOf(anOrder({ person: 900_000, rain: 1 }));
    const gray = night.money.tokenOf(night.orderOf(2, { phase: 'gray', phaseKey: 2 }));
    const elsewhere = night.money.tokenOf({
      ...night.orderOf(3),
      campaignId: 'other' as Order['campaignId'],
    });
    const bytes = Buffer.from(night.money.tokenOf(night.orderOf(4)), 'base64url');
    bytes[bytes.length - 1]! ^= 1;
    const shown = await night.overview([
      '',
      stranger,
      gray,
      elsewhere,
      bytes.toString('base64url'),
      `${good}=`,
      ` ${good}`,
      'A'.repeat(100_000),
      '红包',
      good,
    ]);
    expect(shown.refusedTokens).toEqual([
      { index: 0, code: 'token-malformed' },
      { index: 1, code: 'token-foreign' },
      { index: 2, code: 'token-wrong-phase' },
      { index: 3, code: 'token-wrong-campaign' },
      { index: 4, code: 'token-signature-invalid' },
      { index: 5, code: 'token-malformed' },
      { index: 6, code: 'token-malformed' },
      { index: 7, code: 'token-malformed' },
      { index: 8, code: 'token-malformed' },
    ]);
    expect([shown.balanceFen, night.promises.log.end()]).toEqual([101n, 1]);
  });

  it('refuses what can’t be promised any more, and still raises the alarm', async () => {
    await night.reopen({ repromise: async () => refuse('slice-fenced', 'closed') });
    const shown = await night.overview([night.money.tokenOf(night.orderOf(1))]);
    expect(shown.refusedTokens).toEqual([{ index: 0, code: 'slice-fenced' }]);
    expect([shown.balanceFen, night.money.unrecorded.count]).toEqual([0n, 1]);
  });
});
