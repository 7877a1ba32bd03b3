export interface RedisAddress {
  readonly nodes: readonly { readonly host: string; readonly port: number }[];
  readonly username?: string;
  readonly password?: string;
  readonly tls: boolean;
}

const SHAPE = 'redis://[user:password@]host[:port][,host[:port]…]';
const DEFAULT_PORT = 6379;

/**
 * Reads a cluster's address: some of its nodes are enough, the others are found. `rediss:` asks for TLS. Throws a
 * plain Error that says what would be right, without the password.
 */
export function parseRedisUrl(text: string): RedisAddress {
  const match = /^(rediss?):\/\/(?:([^@/]*)@)?([^@/?#]+)\/?$/.exec(text);
  if (!match) throw new Error(`not the address of a Redis Cluster: expected ${SHAPE}`);
  const [, scheme, credentials, hosts] = match;
  return {
    nodes: hosts!.split(',').map(readNode),
    ...(credentials === undefined ? {} : readCredentials(credentials)),
    tls: scheme === 'rediss',
  };
}

function readNode(text: string): { host: string; port: number } {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^:[\]]+)(?::([1-9][0-9]{0,4}))?$/.exec(text.trim());
  const port = Number(match?.[2] ?? DEFAULT_PORT);
  if (!match || port > 65_535) throw new Error(`"${text}" is no host and port: expected ${SHAPE}`);
  return { host: match[1]!.replace(/^\[|\]$/g, ''), port };
}

function readCredentials(text: string): { username?: string; password: string } {
  const colon = text.indexOf(':');
  try {
    if (colon === -1) return { password: decodeURIComponent(text) };
    const username = decodeURIComponent(text.slice(0, colon));
    const password = decodeURIComponent(text.slice(colon + 1));
    return username === '' ? { password } : { username, password };
  } catch {
    throw new Error(`user and password must be percent-encoded: expected ${SHAPE}`);
  }
}
