import { readFileSync } from 'node:fs';
import type { FulfilAsk } from '../../src/engines/ports.ts';
import type { Fen } from '../../src/vocabulary/fen.ts';
import type { ActId, PhaseKey } from '../../src/vocabulary/ids.ts';
import type { OrderNumber } from '../../src/vocabulary/order-number.ts';

/** The connectors file that people copy from, and what it wants in the environment. */
export const EXAMPLE = readFileSync('examples/connectors.yaml', 'utf8');
export const SECRETS = { DRINKS_TOKEN: 'dr1nks', CINEMA_SECRET: 'c1nema' };

/** A piece whose item has every character that could leave its place. */
export const one: FulfilAsk = {
  orderNumber: '42_tea_7_drinks-coupon_live' as OrderNumber,
  phaseKey: 3 as PhaseKey,
  item: 'tpl/大杯 "oolong"?',
  actId: 42n as ActId,
  worthFen: 1_905n as Fen,
};
