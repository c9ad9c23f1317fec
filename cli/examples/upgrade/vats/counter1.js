import { Far } from '@endo/far';
import { prepareExo } from '@agoric/vat-data';

export const buildRootObject = (vatPowers, parameters, baggage) => {
  let calls = 0; // a variable: it ends with this code
  if (!baggage.has('count')) baggage.init('count', 0n);

  const counter = prepareExo(baggage, 'Counter', undefined, {
    increment() {
      calls += 1;
      baggage.set('count', baggage.get('count') + 1n);
      return baggage.get('count');
    },
    never: () => new Promise(() => {}),
  });

  return Far('CounterRoot', {
    getCounter: () => counter,
    describe: () => ({ code: 'counter1', count: baggage.get('count'), calls }),
  });
};
