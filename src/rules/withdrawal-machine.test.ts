import { describe, expect, it } from 'vitest';
import type { WithdrawalState } from '../engines/ports.ts';
import { nextWithdrawalState, type WithdrawalEvent } from './withdrawal-machine.ts';

const table = `
            hold   ask-for-payment  payment-known  rejection-known
requested   held   broken           broken         broken
held        same   paying           broken         broken
paying      same   same             paid           returned
paid        same   same             same           broken
returned    same   same             broken         same`;

const [head, ...lines] = table.trim().split('\n');
const events = head!.trim().split(/\s+/) as WithdrawalEvent[];

describe('a withdrawal', () => {
  it.each(lines.map((line) => line.trim().split(/\s+/)))(
    'in state %s: hold %s, ask %s, payment %s, rejection %s',
    (state, ...steps) => {
      expect(events.map((event) => nextWithdrawalState(state as WithdrawalState, event))).toEqual(steps);
    },
  );
});
