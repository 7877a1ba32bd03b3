import { expect, it } from 'vitest';
import { parsePhone } from './phone.ts';

it.each<[unknown, string | undefined]>([
  ['+8613800138000', '+8613800138000'],
  ['+86 138 0013 8000', '+8613800138000'],
  ['+86-138-0013-8000', '+8613800138000'],
  ['+1 (415) 555-2671', '+14155552671'],
  ['+6834000', '+6834000'],
  ['+123456789012345', '+123456789012345'],
  ['+1234567890123456', undefined],
  ['+683400', undefined],
  ['13800138000', undefined],
  ['008613800138000', undefined],
  ['+0138001380', undefined],
  ['+44 (0)20 7946 0958', undefined],
  ['++8613800138000', undefined],
  ['+86138001380OO', undefined],
  ['+８６13800138000', undefined],
  ['tel:+8613800138000', undefined],
  ['+8613800138000;ext=1', undefined],
  [`+86${' '.repeat(50)}13800138000`, undefined],
  ['', undefined],
  [8613800138000, undefined],
  [null, undefined],
  [['+8613800138000'], undefined],
])('the phone number %j is %s', (text, expected) => expect(parsePhone(text)).toBe(expected));
