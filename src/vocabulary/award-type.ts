/**
 * What a scene gives. Only awards that carry an order number are listed with a wire number; a greeting card is
 * answered without an order. New types append a number, none is ever reused.
 */
export const AWARD_TYPE_NUMBER = { cash: 1 } as const;

export type AwardType = keyof typeof AWARD_TYPE_NUMBER;

export const AWARD_TYPES = Object.keys(AWARD_TYPE_NUMBER) as readonly AwardType[];

export const parseAwardType = (text: unknown): AwardType | undefined =>
  AWARD_TYPES.find((type) => type === text);
