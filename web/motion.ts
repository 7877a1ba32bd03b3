/** Shaking by the phone's sensor: a jolt of more than about 1.3 g beyond rest, at most ten times a second. */
const JOLT = 13;
const BETWEEN_MS = 100;

interface AskingMotion {
  requestPermission?: () => Promise<'granted' | 'denied'>;
}

export const hasMotion = (): boolean => 'DeviceMotionEvent' in window && 'ontouchstart' in window;
/** iOS asks the person first, and only from a tap. */
export const motionNeedsPermission = (): boolean =>
  typeof (window.DeviceMotionEvent as AskingMotion | undefined)?.requestPermission === 'function';

export const askMotion = async (): Promise<boolean> =>
  (await (window.DeviceMotionEvent as AskingMotion).requestPermission?.()) === 'granted';

/** Calls on every jolt; returns how to stop. */
export function onJolt(act: () => void): () => void {
  let lastMs = 0;
  const listen = (event: DeviceMotionEvent) => {
    const force = event.acceleration ?? event.accelerationIncludingGravity;
    const strength = Math.hypot(force?.x ?? 0, force?.y ?? 0, force?.z ?? 0);
    if (strength < JOLT || event.timeStamp - lastMs < BETWEEN_MS) return;
    lastMs = event.timeStamp;
    act();
  };
  window.addEventListener('devicemotion', listen);
  return () => window.removeEventListener('devicemotion', listen);
}
