// Two of these hold as many objects of each other as they are told to. What they make is virtual and what they
// hold is in a store, so that a million of them needs no room in the heap.
import { E, Far } from '@endo/far';
import { defineKind, makeScalarBigSetStore } from '@agoric/vat-data';

export const buildRootObject = () => {
  const makeThing = defineKind('thing', () => ({}), {});
  const kept = makeScalarBigSetStore('kept');
  return Far('hoard', {
    make: count => Array.from({ length: count }, makeThing),
    async hoard(other, batches, size) {
      for (let i = 0; i < batches; i += 1) {
        for (const thing of await E(other).make(size)) kept.add(thing);
      }
      return batches * size;
    },
  });
};
