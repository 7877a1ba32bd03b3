/** A token's way (seed 2022, 4.2.1): never back, and no failed state, because crediting is retried until it is done. */
export const TOKEN_STATUS = { outstanding: 1, crediting: 2, credited: 8 } as const;

export type TokenStatus = (typeof TOKEN_STATUS)[keyof typeof TOKEN_STATUS];
