import { readFileSync } from 'node:fs';
import { defineConfig } from 'vitest/config';

/** Loads `.sql` as a string, as the bundler does. */
const sqlAsText = {
  name: 'sql-as-text',
  enforce: 'pre' as const,
  load(id: string) {
    return id.endsWith('.sql') ? `export default ${JSON.stringify(readFileSync(id, 'utf8'))}` : undefined;
  },
};

export default defineConfig({
  plugins: [sqlAsText],
  test: {
    include: ['{src,client,web,rehearsal,test,tools}/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
    maxWorkers: 2,
  },
});
