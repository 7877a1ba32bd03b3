import { InvalidArgumentError } from 'commander';

/** A flag that takes a whole number: plain digits only, within its bounds. */
export const wholeNumber =
  (min: number, max: number) =>
  (text: string): number => {
    const value = /^(0|[1-9][0-9]{0,15})$/.test(text) ? Number(text) : Number.NaN;
    if (!(value >= min && value <= max))
      throw new InvalidArgumentError(
        `Write a whole number from ${min} to ${max} in plain digits, e.g. ${Math.max(min, 100)}.`,
      );
    return value;
  };
