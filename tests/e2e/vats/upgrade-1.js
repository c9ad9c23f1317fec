// Counts in its baggage, and in a variable; `wait` is never settled by this code.
import { Far } from '@endo/far';

export const buildRootObject = (vatPowers, { by }, baggage) => {
  let here = 0;
  if (!baggage.has('count')) baggage.init('count', 0);
  return Far('Counter', {
    count: () => {
      here += by;
      baggage.set('count', baggage.get('count') + by);
      return ['first', baggage.get('count'), here];
    },
    wait: () => new Promise(() => {}),
  });
};
