// One of everything that may be passed between vats. The vats send it there and back; passables.mjs
// makes the same record in Node, so both sides must import this module and nothing may depend on
// where it runs.
import { Far, makeTagged } from '@endo/pass-style';

const { freeze } = Object;

// In the order of the table in README.md; the keys name its rows.
export const makePassables = () =>
  harden({
    undefined: undefined,
    null: null,
    true: true,
    false: false,
    numberFraction: 1.5,
    numberLarge: -2e9,
    numberTiny: 5e-324,
    numberMax: Number.MAX_VALUE,
    nan: NaN,
    infinity: Infinity,
    minusInfinity: -Infinity,
    minusZero: -0,
    bigint: 42n,
    bigintNegative: -7n,
    bigintLong: 2n ** 200n,
    stringEmpty: '',
    string: 'hi',
    stringQuotes: '"\\/\b\f\n\r\t\u0000\u001f\u2028\u2029',
    stringPrefixes: ['!', '#', '$0', '%', '&0', '+1', '-1', '!!', '*', '(', "'x", ',', '.', '/'],
    stringUnicode: 'äöü €uro 😀 \u{10ffff} \uffff',
    symbolWellKnown: Symbol.asyncIterator,
    symbolRegistered: Symbol.for('x'),
    copyArray: [1, [2, [3, []]]],
    copyRecord: { a: 1, 'b c': 2, ä: 3, '': 4, '#quoted': 5, nested: { z: {}, a: [] } },
    tagged: makeTagged('copySet', [1, 'two', 3n]),
    error: Error('plain'),
    typeError: TypeError('no such method'),
    remotable: Far('Purse', { getBalance: () => 100n }),
    promise: new Promise(() => {}),
  });

// Equal in the sense of passing: same by identity, or the same data.
export const same = (a, b) => {
  if (a === b || (a !== a && b !== b)) return true;
  if (typeof a !== typeof b || typeof a !== 'object' || a === null || b === null) return false;
  if (a instanceof Error) return b instanceof Error && a.name === b.name && a.message === b.message;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  if (Promise.resolve(a) === a || Promise.resolve(b) === b) return false;
  const keys = x => Reflect.ownKeys(x).map(String).sort();
  const [keysA, keysB] = [keys(a), keys(b)];
  if (keysA.length !== keysB.length || keysA.some((key, i) => key !== keysB[i])) return false;
  return Reflect.ownKeys(a).every(key => same(a[key], b[key]));
};
freeze(same);
