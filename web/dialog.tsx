import type { ComponentChildren } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';

interface Props {
  label: string;
  /** On Escape; undefined while it can't be left. */
  onClose: (() => void) | undefined;
  /** Where the focus goes afterwards when nothing had it before. */
  returnTo: () => HTMLElement | null;
  children: ComponentChildren;
}

const FOCUSABLE = 'button:not([disabled]), input:not([disabled]), a[href]';

/** A modal dialog: keeps the focus inside, gives it back, and closes with Escape. */
export function Dialog({ label, onClose, returnTo, children }: Props) {
  const box = useRef<HTMLDivElement>(null);
  // While rendering: by the time that effects run, the focus may be inside already.
  const [before] = useState(() => document.activeElement);

  useEffect(() => {
    return () => {
      const target = before instanceof HTMLElement && before !== document.body ? before : returnTo();
      if (target?.isConnected) target.focus();
    };
  }, []);

  useEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (event.key === 'Escape' && onClose) {
        event.preventDefault();
        onClose();
      }
      if (event.key === 'Tab' && box.current) keepInside(event, box.current);
    };
    document.addEventListener('keydown', listen);
    return () => document.removeEventListener('keydown', listen);
  }, [onClose]);

  return (
    <div class="veil">
      <div ref={box} class="dialog" role="dialog" aria-modal="true" aria-label={label} tabIndex={-1}>
        {children}
      </div>
    </div>
  );
}

/** From the last one Tab leads to the first, and back; from outside it leads in. */
function keepInside(event: KeyboardEvent, box: HTMLElement): void {
  const all = [...box.querySelectorAll<HTMLElement>(FOCUSABLE)];
  const [first, last] = [all[0], all.at(-1)];
  if (!first || !last) return event.preventDefault();
  const { activeElement } = document;
  const isOutside = !box.contains(activeElement);
  if (event.shiftKey ? activeElement === first || isOutside : activeElement === last || isOutside) {
    event.preventDefault();
    (event.shiftKey ? last : first).focus();
  }
}
