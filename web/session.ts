import { pageStorage, remember } from './storage.ts';

/** Where the session comes from: the embedding app, the address's fragment, or (on a developer's machine) the demo. */
declare global {
  interface Window {
    /** Set by the embedding app: gives a fresh session each time. */
    hongbaoSession?: () => Promise<string>;
  }
}

const NAMES = ['panda', 'crane', 'lotus', 'bamboo', 'dragon', 'plum', 'swallow', 'lantern', 'carp', 'peony'];
const USER_KEY = 'hongbao:user';

const params = new URLSearchParams(location.search);
export const campaignId = params.get('campaign') ?? 'gala';
export const languageAsked = params.get('lang');

const fragment = new URLSearchParams(location.hash.slice(1)).get('session');
// A session is not for the history, nor for whoever looks over a shoulder.
if (fragment) history.replaceState(null, '', location.pathname + location.search);

/** Of the demo only: another of the campaign's apps, and a phone number, which makes one person of several users. */
const demoMore = {
  ...(params.has('app') ? { app: params.get('app') } : {}),
  ...(params.has('phone') ? { phone: params.get('phone') } : {}),
};

export const isDemo = window.hongbaoSession === undefined && fragment === null;

export function demoUser(): string {
  const asked = params.get('user') ?? pageStorage.getItem(USER_KEY);
  const name =
    asked ??
    `${NAMES[crypto.getRandomValues(new Uint8Array(1))[0]! % NAMES.length]}-${crypto.getRandomValues(new Uint16Array(1))[0]! % 1000}`;
  remember(USER_KEY, name);
  return name;
}

export function changeDemoUser(name: string): void {
  remember(USER_KEY, name);
  params.delete('user');
  location.search = params.toString();
}

/** Gives a session each time it is asked; the client keeps it until shortly before it ends. */
export function sessionSource(user: string): () => Promise<string> {
  if (window.hongbaoSession) return window.hongbaoSession;
  if (fragment) return async () => fragment;
  return async () => {
    const response = await fetch('/demo/v1/sessions', {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ user, ...demoMore }),
    });
    if (!response.ok) throw new Error('no demo session');
    return ((await response.json()) as { session: string }).session;
  };
}
