import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOMS = [
  'src',
  'client',
  'sdk',
  'web',
  'rehearsal',
  'test',
  'tools',
  'bench',
  'docs',
  'deploy',
  'proto',
];
const files = ROOMS.flatMap((room) =>
  readdirSync(room, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => path.join(entry.parentPath, entry.name)),
);
const pages = [
  ...files.filter((file) => file.endsWith('.md')),
  ...readdirSync('.').filter((file) => file.endsWith('.md')),
];

/** A file or folder of the repository by the end of its path, as pages write it: `cut.ts`, `functions/*.lua`. */
function isThere(name: string): boolean {
  const ending = `/${name.replace(/\*.*$/, '').replace(/\/$/, '')}`;
  return (
    existsSync(name) || files.some((file) => `/${file}`.endsWith(ending) || `/${file}`.includes(`${ending}/`))
  );
}

describe.each(pages)('%s', (page) => {
  const text = readFileSync(page, 'utf8');

  it('links to what is there', () => {
    const links = [...text.matchAll(/\]\(([^)#\s]+)|(?:src|href)="([^"#]+)"/g)].map(
      (match) => match[1] ?? match[2]!,
    );
    const broken = links.filter(
      (link) => !/^[a-z]+:/.test(link) && !existsSync(path.join(path.dirname(page), link)),
    );
    expect(broken).toEqual([]);
  });

  it('names files that are there', () => {
    const named = [...text.matchAll(/`([\w@.*-]+(?:\/[\w@.*-]+)*\.(?:ts|sql|lua))`/g)].map(
      (match) => match[1]!,
    );
    expect(named.filter((name) => !isThere(name))).toEqual([]);
  });
});

/** Words of servers that we do not make, in the pages about them. */
const OF_SERVERS = /^(no suitable peers|OOM command not allowed|CONFIG SET |nats stream )/;

describe('the runbooks', () => {
  const source = files
    .filter((file) => file.startsWith('src/') && file.endsWith('.ts'))
    .map((file) => readFileSync(file, 'utf8'))
    .join('\n');

  it.each(pages.filter((page) => page.startsWith('docs/runbooks/')))('quote what is said, in %s', (page) => {
    const text = readFileSync(page, 'utf8').replace(/```[\s\S]*?```/g, '');
    const quoted = [...text.matchAll(/`([A-Za-z][a-zA-Z’',;: -]+(?:…[a-z ]+)?)`/g)]
      .map((match) => match[1]!)
      .filter((words) => words.split(' ').length > 2 && !/^(hongbao|npx|reissue) /.test(words));
    const unsaid = quoted.filter(
      (words) => !OF_SERVERS.test(words) && !words.split('…').every((part) => source.includes(part.trim())),
    );
    expect(unsaid).toEqual([]);
  });
});
