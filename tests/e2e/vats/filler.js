import { Far } from '@endo/far';
import { makeScalarBigMapStore } from '@agoric/vat-data';

// Fills its store with text, and says how much there is.
export const buildRootObject = (_powers, _parameters, baggage) => {
  const kept = makeScalarBigMapStore('kept', { durable: true });
  baggage.init('kept', kept);
  return Far('filler', {
    store(key, size) {
      const piece = 'x'.repeat(100000);
      for (let n = 0; n * piece.length < size; n += 1) kept.init(`${key}.${n}`, piece);
    },
    size: () => [...kept.values()].reduce((sum, text) => sum + text.length, 0),
  });
};
