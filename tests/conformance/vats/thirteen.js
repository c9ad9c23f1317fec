// A vat that is made by another one: with an adder among its parameters, and a root that comes a little later.
import { E, Far } from '@endo/far';

export const buildRootObject = async (_vatPowers, { adder, held }) =>
  Far('root', {
    getANumber: () => 13,
    getHeld: () => held,
    makeCounter(sum) {
      let count = 0;
      return Far('counter', {
        increment(by) {
          sum += by;
          count += 1;
          return sum;
        },
        addLater: value => E(adder).add1(value + 1),
        count: () => count,
      });
    },
  });
