// Keeps durable objects in a durable map; the code of every incarnation.
import { Far } from '@endo/far';

/* global VatData */
const { defineDurableKind, makeKindHandle, makeScalarBigMapStore } = VatData;

export const buildRootObject = (_powers, _parameters, baggage) => {
  const first = !baggage.has('kind');
  if (first) {
    baggage.init('kind', makeKindHandle('thing'));
    baggage.init('things', makeScalarBigMapStore('things', { durable: true }));
  }
  const things = baggage.get('things');
  const make = defineDurableKind(baggage.get('kind'), n => ({ n }), { read: ({ state }) => state.n });
  return Far('keeper', {
    bootstrap: () => {},
    keep: (from, count) => {
      for (let n = from; n < from + count; n += 1) things.init(n, make(n));
      return things.getSize();
    },
    sum: (from, count) => {
      let sum = 0;
      for (let n = from; n < from + count; n += 1) sum += things.has(n) ? 1 : 0;
      return sum;
    },
  });
};
