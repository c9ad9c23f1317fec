import { Far } from '@endo/far';
import { prepareExo } from '@agoric/vat-data';

// The second version counts in steps, and can double. It must define again every kind that the first one
// kept in its baggage.
export const buildRootObject = (vatPowers, { step = 1n } = {}, baggage) => {
  let calls = 0;
  const counter = prepareExo(baggage, 'Counter', undefined, {
    increment() {
      calls += 1;
      baggage.set('count', baggage.get('count') + step);
      return baggage.get('count');
    },
    double() {
      calls += 1;
      baggage.set('count', baggage.get('count') * 2n);
      return baggage.get('count');
    },
  });

  return Far('CounterRoot', {
    getCounter: () => counter,
    describe: () => ({ code: 'counter2', count: baggage.get('count'), calls }),
  });
};
