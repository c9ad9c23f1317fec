// Introduces alice and bob to each other, and has alice begin.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let alice;
  return Far('swap', {
    async bootstrap(vats) {
      ({ alice } = vats);
      await E(alice).meet(vats.bob);
      await E(vats.bob).meet(alice);
    },
    swap: (batches, size) => E(alice).swap(batches, size),
  });
};
