// Two of these give each other objects for ever: each makes a batch of new ones, sends it, and forgets
// it; the other one looks at it and forgets it, too.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let other;
  const batch = size => Array.from({ length: size }, () => Far('thing', {}));
  return Far('swapper', {
    meet(swapper) {
      other = swapper;
    },
    take: things => things.length,
    // BATCHES of SIZE new objects to the other one, as many back.
    async swap(batches, size) {
      let seen = 0;
      for (let i = 0; i < batches; i += 1) {
        seen += await E(other).take(batch(size));
        seen += (await E(other).give(size)).length;
      }
      return seen;
    },
    give: size => batch(size),
  });
};
