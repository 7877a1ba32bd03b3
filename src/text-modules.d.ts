/** SQL is first-class text: one operation a file, imported as a string by the bundler and by the tests. */
declare module '*.sql' {
  const text: string;
  export default text;
}
/** Functions for Redis, in the same way. */
declare module '*.lua' {
  const text: string;
  export default text;
}
declare module '*.css' {
  const text: string;
  export default text;
}
