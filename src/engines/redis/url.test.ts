import { describe, expect, it } from 'vitest';
import { parseRedisUrl } from './url.ts';

describe('the address of a Redis Cluster', () => {
  it.each([
    ['redis://a', { nodes: [{ host: 'a', port: 6379 }], tls: false }],
    [
      'redis://a:7000,b:7001/',
      {
        nodes: [
          { host: 'a', port: 7000 },
          { host: 'b', port: 7001 },
        ],
        tls: false,
      },
    ],
    [
      'rediss://u:p%40ss@a:1',
      { nodes: [{ host: 'a', port: 1 }], username: 'u', password: 'p@ss', tls: true },
    ],
    ['redis://secret@a:1', { nodes: [{ host: 'a', port: 1 }], password: 'secret', tls: false }],
    ['redis://:secret@a:1', { nodes: [{ host: 'a', port: 1 }], password: 'secret', tls: false }],
    ['redis://[::1]:7000', { nodes: [{ host: '::1', port: 7000 }], tls: false }],
  ])('%s is read', (text, address) => {
    expect(parseRedisUrl(text)).toEqual(address);
  });

  it.each([
    '',
    'redis://',
    'http://a:1',
    'redis://a:0',
    'redis://a:65536',
    'redis://a:7000,',
    'redis://a:7000/1',
    'redis://a:seven',
    'redis://a b:1:2',
    'redis://u:%zz@a:1',
  ])('%j is refused with what would be right', (text) => {
    expect(() => parseRedisUrl(text)).toThrow(/expected redis:\/\//);
  });

  it('never repeats a password in its complaint', () => {
    expect(() => parseRedisUrl('redis://u:hush@a:x')).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('hush') }),
    );
  });
});
