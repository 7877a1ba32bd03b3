import { defineConfig } from 'vitest/config';
import common from './vitest.config.ts';

/** `npm run faults`: whole clusters whose servers and processes die. One at a time: each is twenty processes. */
export default defineConfig({
  ...common,
  test: {
    ...common.test,
    include: ['test/cluster-faults/*.test.ts'],
    exclude: [],
    fileParallelism: false,
    hookTimeout: 300_000,
  },
});
