import { HongbaoProblem } from './problem.ts';

/** Waiting, handed in so that tests needn't. */
export interface Timers {
  /** Calls `act` once after `ms`; gives back how to call it off. */
  after(ms: number, act: () => void): () => void;
}

export const realTimers: Timers = {
  after(ms, act) {
    const timer = setTimeout(act, ms);
    return () => clearTimeout(timer);
  },
};

/** The promise's end, or after `ms` the problem; what comes of the promise later is nobody's any more. */
export function within<Value>(
  timers: Timers,
  ms: number,
  promise: Promise<Value>,
  late: () => HongbaoProblem = () => new HongbaoProblem('time-out', 'No answer in time', true),
): Promise<Value> {
  return new Promise((resolve, reject) => {
    const calledOff = timers.after(ms, () => reject(late()));
    promise.then(resolve, reject).finally(calledOff);
  });
}
