/* XS has no console, and SES wants one before it locks down. What is said to this one while the
 * snapshot is made is dropped; afterwards supervisor.js gives it somewhere to go. */
/* global globalThis */
export const outlet = { say: (_level, _args) => {} };

const noop = () => {};
const level = n => (...args) => outlet.say(n, args);
const shim = { debug: level(0), log: level(1), info: level(2), warn: level(3), error: level(4), trace: noop };
for (const name of ['dirxml', 'group', 'groupCollapsed', 'groupEnd', 'assert', 'timeLog', 'clear', 'count',
  'countReset', 'dir', 'table', 'time', 'timeEnd', 'profile', 'profileEnd', 'timeStamp']) shim[name] = noop;
globalThis.console = shim;
