// Goes on with what the first one has in its baggage.
import { Far } from '@endo/far';

export const buildRootObject = (vatPowers, { by = 0, refuse = false }, baggage) => {
  console.log(`second code, by ${by}`);
  if (refuse) throw Error('not with me');
  let here = 0;
  return Far('Counter', {
    count: () => {
      here += by;
      baggage.set('count', baggage.get('count') + by);
      return ['second', baggage.get('count'), here];
    },
  });
};
