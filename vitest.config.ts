import { readFileSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

/** Loads `.sql` and `.lua` as a string, as the bundler does. */
const asText = {
  name: 'as-text',
  enforce: 'pre' as const,
  load(id: string) {
    return /\.(sql|lua)$/.test(id) ? `export default ${JSON.stringify(readFileSync(id, 'utf8'))}` : undefined;
  },
};

export default defineConfig({
  plugins: [asText],
  test: {
    include: ['{src,client,web,rehearsal,test,tools}/**/*.test.ts'],
    // Minutes of dying clusters have a command of their own: npm run faults.
    exclude: ['test/cluster-faults/**'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
