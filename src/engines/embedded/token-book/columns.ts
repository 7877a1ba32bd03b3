type Column = Int32Array | Uint8Array | Uint16Array | Uint32Array | Float64Array;

/** The same numbers in twice the room. */
export function doubled<Kind extends Column>(column: Kind): Kind {
  const larger = new (column.constructor as new (length: number) => Kind)(column.length * 2);
  larger.set(column as never);
  return larger;
}
