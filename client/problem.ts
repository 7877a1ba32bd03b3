/** Why something was not done, in both languages where the server said it. */
export class HongbaoProblem extends Error {
  override readonly name = 'HongbaoProblem';
  constructor(
    readonly code: string,
    detail: string,
    /** Whether the same request may succeed later. */
    readonly retryable: boolean,
    readonly title?: { readonly en: string; readonly zh: string },
  ) {
    super(detail);
  }
}
