import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createCabinet } from './cabinet.ts';
import { type KeyValueStore, memoryStore } from './safe-store.ts';

const NOW = 1_700_000_000_000;
const open = (store: KeyValueStore, person = 'alice', campaignId = 'gala', nowMs = () => NOW) =>
  createCabinet({ store, campaignId, person, nowMs });
/** Like a browser's, once it is full: what is there may be read and removed, nothing may be added. */
const fullStore = (inner = memoryStore()): KeyValueStore & { isFull: boolean } => ({
  isFull: true,
  get length() {
    return inner.length;
  },
  key: (index) => inner.key(index),
  getItem: (key) => inner.getItem(key),
  setItem(key, value) {
    if (this.isFull) throw new DOMException('full', 'QuotaExceededError');
    inner.setItem(key, value);
  },
  removeItem: (key) => inner.removeItem(key),
});
const forbidden = (): never => {
  throw new DOMException('denied', 'SecurityError');
};
const forbiddenStore: KeyValueStore = {
  get length() {
    return forbidden();
  },
  key: forbidden,
  getItem: forbidden,
  setItem: forbidden,
  removeItem: forbidden,
};
const fill = (cabinet: ReturnType<typeof open>) => {
  cabinet.keepClaimRecord('claim1');
  cabinet.keepToken('1_a_1_1_1', 'token-a1');
  cabinet.keepTicket({ ticket: 'ticket-a', expiresAtMs: NOW + 60_000 });
  return cabinet.withdrawalKey(100, () => 'key-1');
};

describe('the cabinet', () => {
  it('still has everything after a restart', () => {
    const store = memoryStore();
    fill(open(store));
    const again = open(store);
    expect(again.claimRecord()).toBe('claim1');
    expect(again.tokens()).toEqual([{ orderNumber: '1_a_1_1_1', token: 'token-a1' }]);
    expect(again.tickets(NOW)).toEqual([{ ticket: 'ticket-a', expiresAtMs: NOW + 60_000 }]);
    expect(again.withdrawalKey(100, () => 'another')).toBe('key-1');
    expect(again.unconfirmedWithdrawals()).toEqual([{ amountFen: 100, askedAtMs: NOW }]);
  });

  it.each([
    ['person', 'bob', 'gala'],
    ['campaign', 'alice', 'other'],
    ['person whose name reaches over', 'alice:token', 'gala'],
  ])('shows nothing of it to another %s', (_, person, campaign) => {
    const store = memoryStore();
    fill(open(store));
    const other = open(store, person, campaign);
    expect([other.claimRecord(), other.tokens(), other.tickets(NOW)]).toEqual(['', [], []]);
    expect(other.unconfirmedWithdrawals()).toEqual([]);
  });

  it('keeps the newest 200 tokens, oldest first', () => {
    let nowMs = NOW;
    const cabinet = open(memoryStore(), 'alice', 'gala', () => nowMs);
    for (let index = 0; index < 230; index += 1) {
      nowMs += 1;
      cabinet.keepToken(`order-${index}`, `token-${index}`.padEnd(12, 'x'));
    }
    const tokens = cabinet.tokens();
    expect(tokens).toHaveLength(200);
    expect([tokens[0]!.orderNumber, tokens.at(-1)!.orderNumber]).toEqual(['order-30', 'order-229']);
  });

  it('keeps one token an order number, though gateways may have sealed it apart', () => {
    const cabinet = open(memoryStore());
    for (const token of ['token-a1', 'token-b1']) cabinet.keepToken('1_a_1_1_1', token);
    expect(cabinet.tokens()).toEqual([{ orderNumber: '1_a_1_1_1', token: 'token-b1' }]);
  });

  it('keeps ten tickets, gives only those that can still be opened, and removes one a day after its end', () => {
    const store = memoryStore();
    const cabinet = open(store);
    for (let index = 0; index < 12; index += 1)
      cabinet.keepTicket({ ticket: `ticket${index + 10}`, expiresAtMs: NOW + index });
    expect(cabinet.tickets(NOW - 1)).toHaveLength(10);
    expect(cabinet.tickets(NOW + 10).map(({ ticket }) => ticket)).toEqual(['ticket21']);
    const tomorrow = open(store, 'alice', 'gala', () => NOW + 25 * 3_600_000);
    tomorrow.keepTicket({ ticket: 'fresh1', expiresAtMs: NOW + 26 * 3_600_000 });
    expect(tomorrow.tickets(0).map(({ ticket }) => ticket)).toEqual(['fresh1']);
  });

  it('forgets what was dropped', () => {
    const cabinet = open(memoryStore());
    fill(cabinet);
    cabinet.dropTokens(['1_a_1_1_1', 'never-there']);
    cabinet.dropTicket('ticket-a');
    expect([cabinet.tokens(), cabinet.tickets(NOW)]).toEqual([[], []]);
  });
});

describe('a pending withdrawal', () => {
  it('keeps its key until its end is known, each amount its own', () => {
    const cabinet = open(memoryStore());
    expect(cabinet.withdrawalKey(100, () => 'one')).toBe('one');
    expect(cabinet.withdrawalKey(50, () => 'two')).toBe('two');
    expect(cabinet.withdrawalKey(100, () => 'three')).toBe('one');
    cabinet.forgetWithdrawal(100, 'one');
    expect(cabinet.withdrawalKey(100, () => 'four')).toBe('four');
    expect(cabinet.withdrawalKey(50, () => 'five')).toBe('two');
  });

  it('is not forgotten on the word of an older one', () => {
    const cabinet = open(memoryStore());
    cabinet.withdrawalKey(100, () => 'new');
    cabinet.forgetWithdrawal(100, 'old');
    expect(cabinet.withdrawalKey(100, () => 'newer')).toBe('new');
  });
});

describe('two tabs with one storage', () => {
  it('never undo what the other has kept', () => {
    const store = memoryStore();
    const [one, two] = [open(store), open(store)];
    one.keepToken('a', 'tokenA');
    two.keepToken('b', 'tokenB');
    one.keepTicket({ ticket: 'x1', expiresAtMs: NOW + 1 });
    two.keepTicket({ ticket: 'x2', expiresAtMs: NOW + 2 });
    const key = one.withdrawalKey(100, () => 'of-one');
    two.keepClaimRecord('later1');
    for (const tab of [one, two, open(store)]) {
      expect(tab.tokens().map(({ token }) => token)).toEqual(['tokenA', 'tokenB']);
      expect(tab.tickets(NOW).map(({ ticket }) => ticket)).toEqual(['x1', 'x2']);
      expect(tab.withdrawalKey(100, () => 'another')).toBe(key);
      expect(tab.claimRecord()).toBe('later1');
    }
  });
});

describe('a storage that is not well', () => {
  it.each([
    ['nothing', ''],
    ['not a number', 'x.token'],
    ['no text', '17.'],
    ['the old form', '{"tokens":{}}'],
    ['another alphabet', '17.<script>'],
    ['a length that base64url never has', '17.abcde'],
  ])('keeps what is readable where an entry is %s', (_, rubbish) => {
    const store = memoryStore();
    const cabinet = open(store);
    fill(cabinet);
    store.setItem('hongbao:gala:alice:token:rotten', rubbish);
    store.setItem('hongbao:gala:alice:ticket:rotten', rubbish);
    store.setItem('hongbao:gala:alice:claim', '{');
    expect(cabinet.tokens()).toEqual([{ orderNumber: '1_a_1_1_1', token: 'token-a1' }]);
    expect(cabinet.tickets(NOW)).toHaveLength(1);
    expect(cabinet.claimRecord()).toBe('');
    expect(store.getItem('hongbao:gala:alice:token:rotten')).toBeNull();
  });

  it('never throws, whatever stands there', () => {
    fc.assert(
      fc.property(
        fc.array(
          fc.tuple(
            fc.constantFrom('claim', 'token:', 'ticket:', 'withdrawal:', 'withdrawal:100', ''),
            fc.string(),
          ),
        ),
        (entries) => {
          const store = memoryStore();
          for (const [name, value] of entries) store.setItem(`hongbao:gala:alice:${name}`, value);
          const cabinet = open(store);
          fill(cabinet);
          expect(cabinet.tokens()).toContainEqual({ orderNumber: '1_a_1_1_1', token: 'token-a1' });
          expect(cabinet.unconfirmedWithdrawals().every(({ amountFen }) => amountFen > 0)).toBe(true);
        },
      ),
    );
  });

  it('goes on in memory where the storage is full, and writes it down when there is room', () => {
    const store = fullStore();
    const cabinet = open(store);
    const key = fill(cabinet);
    expect(cabinet.tokens()).toHaveLength(1);
    expect(cabinet.withdrawalKey(100, () => 'another')).toBe(key);
    expect(store.length).toBe(0);
    store.isFull = false;
    cabinet.dropTicket('ticket-a');
    expect(open(store).tokens()).toHaveLength(1);
    expect(open(store).withdrawalKey(100, () => 'another')).toBe(key);
  });

  it('reads its own newer word where the storage has kept the older one', () => {
    const store = fullStore();
    store.isFull = false;
    const cabinet = open(store);
    cabinet.keepClaimRecord('old1');
    store.isFull = true;
    cabinet.keepClaimRecord('new1');
    expect(cabinet.claimRecord()).toBe('new1');
  });

  it('works where storage is forbidden altogether', () => {
    const cabinet = open(forbiddenStore);
    fill(cabinet);
    expect(cabinet.claimRecord()).toBe('claim1');
    expect(cabinet.tokens()).toHaveLength(1);
    cabinet.dropTokens(['1_a_1_1_1']);
    expect(cabinet.tokens()).toEqual([]);
  });
});
