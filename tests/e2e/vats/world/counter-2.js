import { Far } from '@endo/far';

export const buildRootObject = (vatPowers, parameters, baggage) =>
  Far('Counter', {
    count: () => {
      const count = baggage.has('count') ? baggage.get('count') + 1n : 1n;
      if (baggage.has('count')) baggage.set('count', count);
      else baggage.init('count', count);
      return [2, count];
    },
  });
