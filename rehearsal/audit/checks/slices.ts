import { type Evidence, groupBy, sumOf } from '../evidence.ts';
import type { Notebook } from '../report.ts';

/** I5 and the slices' part of I4: each place of a slice goes to one order, of just its amount. */
export function checkSlices(evidence: Evidence, notebook: Notebook): void {
  const given = [...evidence.orders.values()].filter(({ isVoid }) => !isVoid).map(({ order }) => order);
  const bySlice = groupBy(given, ({ sliceId }) => `${sliceId}`);
  const creditsBySlice = groupBy(evidence.credits, ({ sliceId }) => `${sliceId}`);
  notebook.saw('slices', evidence.slices.size);

  for (const [sliceId, orders] of bySlice) {
    const slice = evidence.slices.get(BigInt(sliceId));
    if (!slice) {
      notebook.find(
        'I5',
        'order of a slice that was never leased',
        orders[0]!.orderNumber,
        `slice ${sliceId}`,
      );
      continue;
    }
    const dealt = new Map<number, string>();
    for (const order of orders) {
      const place = `slice ${sliceId} index ${order.sliceIndex}`;
      const other = dealt.get(order.sliceIndex);
      if (other) notebook.find('I5', 'packet dealt twice', place, `${other} and ${order.orderNumber}`);
      dealt.set(order.sliceIndex, order.orderNumber);
      notebook.same(
        'I5',
        'order of another slice’s generation',
        order.orderNumber,
        order.sliceEpoch,
        slice.epoch,
      );
      const isOf = [order.phaseKey, order.sceneId, slice.rainId === 0 ? 0 : order.rainId].join(' ');
      notebook.same(
        'I7',
        'order paid by another budget',
        order.orderNumber,
        isOf,
        [slice.phaseKey, slice.sceneId, slice.rainId].join(' '),
      );
      if (slice.amountsFen === null) continue;
      if (BigInt(order.sliceIndex) >= slice.packets)
        notebook.find('I5', 'packet dealt that was given back', place, order.orderNumber);
      else
        notebook.same(
          'I5',
          'packet of another amount than was cut',
          place,
          `${order.amountFen}`,
          slice.amountsFen[order.sliceIndex],
        );
    }
    const fen = sumOf(orders.map(({ amountFen }) => amountFen));
    if (BigInt(orders.length) > slice.packets || fen > slice.fen)
      notebook.find(
        'I4',
        'slice gave more than was leased',
        `slice ${sliceId}`,
        `${orders.length} packets, ${fen} fen of ${slice.packets}, ${slice.fen}`,
      );
  }

  for (const slice of evidence.slices.values()) {
    if (slice.state !== 'closed') continue;
    const credits = creditsBySlice.get(`${slice.sliceId}`) ?? [];
    const tally = `${credits.length} packets, ${sumOf(credits.map(({ amountFen }) => amountFen))} fen`;
    notebook.same(
      'I4',
      'closed slice was counted wrong',
      `slice ${slice.sliceId}`,
      `${slice.givenPackets} packets, ${slice.givenFen} fen`,
      tally,
    );
  }
}
