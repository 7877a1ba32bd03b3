import type { ConnectorDraft } from '../../connector-http/schema.ts';

/** How the sandbox at `url` is spoken to, under any connector's name. */
export const sandboxEntry = (name: string, url: string): ConnectorDraft => ({
  name,
  url: `${url}/${name}`,
  timeoutMs: 2_000,
  give: {
    method: 'POST',
    path: '/pieces',
    body: {
      orderNumber: '{orderNumber}',
      phaseKey: '{phaseKey}',
      item: '{item}',
      actId: '{actId}',
      worthFen: '{worthFen}',
    },
  },
  query: { method: 'GET', path: '/pieces/{phaseKey}/{orderNumber}' },
  echo: { at: '/orderNumber', is: '{orderNumber}' },
  answers: [
    { status: '2xx', json: { '/state': 'done' }, means: 'fulfilled', voucher: '/voucher' },
    { status: '2xx', json: { '/state': 'processing' }, means: 'processing' },
    { to: 'query', status: 404, json: { '/state': 'unheard-of' }, means: 'unheard-of' },
    { json: { '/state': 'rejected' }, means: 'rejected', reason: '/reason' },
    { status: 503, json: { '/state': 'failed' }, means: 'failed', reason: '/reason' },
  ],
});
