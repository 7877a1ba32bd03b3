/** Tells a sandbox how to behave from now on, for one item or for all. */
export async function behave(sandbox: { readonly url: string }, how: object): Promise<void> {
  const { status } = await fetch(`${sandbox.url}/behaviour`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(how),
  });
  if (status !== 200) throw new Error(`the sandbox answered ${status}`);
}
