import type { Evidence } from '../evidence.ts';
import type { Notebook } from '../report.ts';

/** I1, I2, I8: what the ledger credited and what the journal promised are the same, once each. */
export function checkCredits(evidence: Evidence, notebook: Notebook): void {
  const { orders, credits, drainedTo, settled } = evidence;
  notebook.saw('credits', credits.length);
  const credited = new Set<string>();
  for (const credit of credits) {
    const where = credit.ref;
    if (credited.has(credit.ref))
      notebook.find('I1', 'order credited twice', where, `account ${credit.actId}`);
    credited.add(credit.ref);
    const promised = orders.get(credit.ref);
    if (!promised) {
      notebook.find('I1', 'credit without a promise', where, `${credit.amountFen} fen are in no journal`);
      continue;
    }
    const { order, isVoid } = promised;
    if (isVoid)
      notebook.find('I4', 'void order credited', where, `its slice ${order.sliceId} was fenced before it`);
    const is = [
      credit.actId,
      credit.phaseKey,
      credit.amountFen,
      credit.atMs,
      credit.sliceId,
      credit.sliceEpoch,
      credit.sliceIndex,
    ];
    const promise = [
      order.actId,
      order.phaseKey,
      order.amountFen,
      order.drawnAtMs,
      order.sliceId,
      order.sliceEpoch,
      order.sliceIndex,
    ];
    notebook.same('I1', 'credit differs from its promise', where, is.join(' '), promise.join(' '));
  }

  let outstanding = 0;
  let voided = 0;
  for (const [orderNumber, { sequence, isVoid }] of orders) {
    if (isVoid) voided += 1;
    else if (!credited.has(orderNumber)) {
      outstanding += 1;
      if (settled) notebook.find('I2', 'promise not credited', orderNumber, `sequence ${sequence}`);
      else if (sequence <= drainedTo)
        notebook.find(
          'I2',
          'drained past a promise that is not credited',
          orderNumber,
          `sequence ${sequence}, drained to ${drainedTo}`,
        );
    }
  }
  notebook.saw('outstanding', outstanding);
  notebook.saw('void', voided);
  if (drainedTo > evidence.journal.lastSequence)
    notebook.find(
      'format',
      'drained past the journal’s end',
      `sequence ${drainedTo}`,
      `the end is ${evidence.journal.lastSequence}`,
    );
  notebook.same(
    'I8',
    'accepted is not credited + outstanding + void',
    'journal',
    orders.size,
    credited.size + outstanding + voided,
  );
}
