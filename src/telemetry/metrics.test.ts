import { expect, it } from 'vitest';
import { createMetrics } from './metrics.ts';

it('shows counts that somebody else keeps as they are at the moment of asking', async () => {
  const metrics = createMetrics();
  const outcomes = { credited: 0, void: 0 };
  metrics.watchCounts('hongbao_done_total', 'Done', 'outcome', () => outcomes);
  metrics.watch('hongbao_waiting', 'Waiting', () => 7);
  expect(await metrics.registry.metrics()).toContain('hongbao_done_total{outcome="credited"} 0');
  outcomes.credited = 12;
  const text = await metrics.registry.metrics();
  expect(text).toContain('hongbao_done_total{outcome="credited"} 12');
  expect(text).toContain('hongbao_done_total{outcome="void"} 0');
  expect(text).toContain('hongbao_waiting 7');
});
