// What a person at the shell talks to: mints and purses to chain messages over, an echo, and promises that
// settle when they are told to.
import { Far } from '@endo/far';
import { E } from '@endo/eventual-send';
import { makePromiseKit } from '@endo/promise-kit';

const makePurse = balance =>
  Far('Purse', {
    getBalance: () => balance,
    deposit: from => E.when(E(from).withdraw(), amount => (balance += amount)),
    withdraw: () => {
      const amount = balance;
      balance = 0n;
      return amount;
    },
  });

export const buildRootObject = () => {
  const later = makePromiseKit();
  const adder = Far('adder', (a, b) => a + b);
  return Far('root', {
    bootstrap() {},
    greet: (name, number) => `hello ${name} ${number}`,
    echo: value => value,
    count: (...values) => values.length,
    makeMint: name => Far('Mint', { getName: () => name, makePurse, [Symbol.asyncIterator]: () => 'iterated' }),
    adder: () => adder,
    fail: text => {
      throw new TypeError(text);
    },
    later: () => later.promise,
    now: value => later.resolve(value),
    log: text => console.log('log', text),
    inside: () => harden({ promise: later.promise }),
    'odd name': () => 'odd',
  });
};
