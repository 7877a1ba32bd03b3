/**
 * The outside world, as small as the stations need it. Every engine of a port passes the port's one contract suite
 * (test/contracts). Amounts are fen, times are ms since 1970 UTC unless they say otherwise. Unless stated, a call
 * that fails throws `RetryableFault`: it may or may not have been done, and doing it again is safe.
 */

export * from './ports/allotments.ts'; // exact budgets, seed slices
export * from './ports/book.ts'; // who has what
export * from './ports/connector.ts'; // pieces out of the house
export * from './ports/control.ts'; // what control remembers
export * from './ports/hot-totals.ts'; // the number on everybody's screen
export * from './ports/ledger.ts'; // the only room that moves money
export * from './ports/log.ts'; // the promise
export * from './ports/payout.ts'; // money out of the house
export * from './ports/reissue.ts'; // lists that are given afterwards
export * from './ports/signals.ts'; // what control announces
