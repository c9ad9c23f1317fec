import { E, Far } from '@endo/far';

/* Holds promises of others in the state of virtual objects, which liveslots 0.11.0 names by their old names
 * when they are settled. */
export const buildRootObject = () => {
  const makeBox = VatData.defineKind('box', () => ({ promise: undefined }), {
    put: ({ state }, promise) => {
      state.promise = promise;
    },
    get: ({ state }) => state.promise,
  });
  const box = makeBox();
  return Far('keeper', {
    bootstrap: async ({ keeper, other }) => {
      const { promise } = await E(other).makePromise();
      box.put(promise);
      await E(other).settle('a value');
      await promise;
      return Promise.all([E(other).take(box.get()), E(other).takeFirst([box.get()]), E(other).takeFirst(await E(keeper).give())]);
    },
    give: () => [box.get()],
  });
};
