import { readFileSync } from 'node:fs';
import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/** Loads `.sql` and `.lua` as a string, as the bundler does. */
const asText = {
  name: 'as-text',
  enforce: 'pre' as const,
  load(id: string) {
    return /\.(sql|lua)$/.test(id) ? `export default ${JSON.stringify(readFileSync(id, 'utf8'))}` : undefined;
  },
};

/** The longest of all begins at once, beside everything else: it takes as long as the rest together. */
const LONGEST = /faults\/kill\.test\.ts$/;

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLongest = ({ moduleId }: TestSpecification) => LONGEST.test(moduleId);
    return [...sorted.filter(isLongest), ...sorted.filter((file) => !isLongest(file))];
  }
}

export default defineConfig({
  plugins: [asText],
  test: {
    include: ['{src,client,sdk,web,rehearsal,test,tools}/**/*.test.ts'],
    // Minutes of dying clusters have a command of their own: npm run faults.
    exclude: ['test/cluster-faults/**'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
    sequence: { sequencer: LongestFirst },
    maxWorkers: 2,
  },
});
