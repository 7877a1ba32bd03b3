export const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1]!;

/** With two places: for figures that people read. */
export const twoPlaces = (value: number): number => Number(value.toFixed(2));
