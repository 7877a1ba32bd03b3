import { expect, it, vi } from 'vitest';
import { createEmitter } from './emitter.ts';

interface Events {
  readonly count: number;
  readonly word: string;
}

it('calls who listens, in order, until they stop', () => {
  const events = createEmitter<Events>();
  const heard: string[] = [];
  const stop = events.on('count', (count) => heard.push(`one ${count}`));
  events.on('count', (count) => heard.push(`two ${count}`));
  events.emit('count', 1);
  events.emit('word', 'unheard');
  stop();
  stop();
  events.emit('count', 2);
  expect(heard).toEqual(['one 1', 'two 1', 'two 2']);
});

it('calls a function that listens twice twice, and stops it one at a time', () => {
  const events = createEmitter<Events>();
  const listener = vi.fn();
  const stop = events.on('word', listener);
  events.on('word', listener);
  events.emit('word', 'a');
  stop();
  events.emit('word', 'b');
  expect(listener.mock.calls).toEqual([['a'], ['a'], ['b']]);
});

it('lets a listener that throws harm nobody but itself', () => {
  const later = vi.spyOn(globalThis, 'queueMicrotask').mockImplementation(() => {});
  const events = createEmitter<Events>();
  const listener = vi.fn();
  events.on('count', () => {
    throw new Error('mine');
  });
  events.on('count', listener);
  expect(() => events.emit('count', 1)).not.toThrow();
  expect(listener).toHaveBeenCalledOnce();
  expect(later.mock.calls[0]![0]).toThrow('mine');
  later.mockRestore();
});

it('may be stopped from inside a call', () => {
  const events = createEmitter<Events>();
  const heard: number[] = [];
  const stop = events.on('count', (count) => {
    heard.push(count);
    stop();
  });
  events.emit('count', 1);
  events.emit('count', 2);
  expect(heard).toEqual([1]);
});
