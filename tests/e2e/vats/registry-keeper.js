// Makes things, and promises that are never settled.
import { Far } from '@endo/far';

export const buildRootObject = () => {
  const seen = new WeakMap();
  return Far('Keeper', {
    make: () => Far('Thing', { poke: () => 'poked' }),
    never: () => new Promise(() => {}),
    recognize: thing => {
      seen.set(thing, true);
    },
  });
};
