const NAME_CHARACTERS_MAX = 64;

/** The known name that somebody may have meant, as a question; undefined when none is near. */
export function nearest(name: unknown, known: unknown): string | undefined {
  if (typeof name !== 'string' || name.length > NAME_CHARACTERS_MAX) return undefined;
  const [best] = (known as readonly string[])
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.distance - b.distance);
  return best && best.distance <= Math.ceil(name.length / 3)
    ? `did you mean "${best.candidate}"?`
    : undefined;
}

export function editDistance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 8) return 99;
  let row = Array.from({ length: b.length + 1 }, (_, at) => at);
  for (let i = 1; i <= a.length; i += 1) {
    const next = [i];
    for (let j = 1; j <= b.length; j += 1) {
      next.push(Math.min(next[j - 1]! + 1, row[j]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    }
    row = next;
  }
  return row[b.length]!;
}

const NAMES_SHOWN_MAX = 20;

/** What to write instead of a name that is not known: the one that was probably meant, or all there are. */
export function oneOf(id: string, known: readonly string[]): string {
  const names = known.slice(0, NAMES_SHOWN_MAX).join(', ');
  return nearest(id, known) ?? `one of ${names}${known.length > NAMES_SHOWN_MAX ? ', …' : ''}`;
}
