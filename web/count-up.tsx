import { useEffect, useState } from 'preact/hooks';
import { yuan } from './money.ts';

const LASTS_MS = 800;
/** The covers of the packet have to be out of the way. */
const BEGINS_MS = 350;

/** The amount runs up once; the whole of it stands there at once for who asked for less motion. */
export function CountUp({ fen }: { fen: number }) {
  const calm = matchMedia('(prefers-reduced-motion: reduce)').matches;
  const [shown, setShown] = useState(calm ? fen : 0);
  useEffect(() => {
    if (calm) return undefined;
    const start = performance.now() + BEGINS_MS;
    let frame = requestAnimationFrame(function run(now) {
      const share = Math.min(1, Math.max(0, (now - start) / LASTS_MS));
      setShown(Math.round(fen * share * (2 - share)));
      if (share < 1) frame = requestAnimationFrame(run);
    });
    return () => cancelAnimationFrame(frame);
  }, [fen, calm]);
  return (
    <>
      <span class="for-readers">{yuan(fen)}</span>
      <span aria-hidden="true" data-testid="amount">
        {yuan(shown)}
      </span>
    </>
  );
}
