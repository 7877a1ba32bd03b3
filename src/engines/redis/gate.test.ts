import { expect, it } from 'vitest';
import { createGate } from './gate.ts';

it('a gate lets in so many calls and so many bytes, and gives a place back once', () => {
  const gate = createGate(2, 100);
  const leave = gate.enter(60)!;
  expect(gate.enter(41)).toBeUndefined();
  expect(gate.enter(40)).toBeDefined();
  expect(gate.enter(0)).toBeUndefined();
  leave();
  leave();
  expect(gate.load()).toEqual({ calls: 1, bytes: 40 });
  expect(gate.enter(61)).toBeUndefined();
});

it('a gate lets one call through that is larger than everything, alone', () => {
  const gate = createGate(2, 100);
  const leave = gate.enter(1_000)!;
  expect(gate.enter(1)).toBeUndefined();
  leave();
  expect(gate.enter(1)).toBeDefined();
});
