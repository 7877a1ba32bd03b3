import { describe } from 'vitest';
import { type Service, whyMissing } from '../../tools/services.ts';

/**
 * Tests against real servers. Where one of them is not installed (the test command installs them where it may), the
 * tests are skipped, visibly, and their title says what is missing and how to get it.
 */
export function describeWithServers(services: readonly Service[], title: string, tests: () => void): void {
  const why = whyMissing(...services);
  if (why) describe.skip(`${title} (not run: ${why})`, tests);
  else describe(title, tests);
}
