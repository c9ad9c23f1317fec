// Holds one thing of the keeper's, and a promise with a message that waits for it.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let thing;
  let never;
  return Far('User', {
    bootstrap: async ({ keeper }) => {
      thing = await E(keeper).make();
      const own = Far('Own', {});
      await E(keeper).recognize(own);
      never = E(keeper).never();
      E(never).wave(own);
      return 'ready';
    },
    drop: () => {
      thing = undefined;
    },
    has: () => [!!thing, !!never],
  });
};
