import { Far } from '@endo/far';
import { makePromiseKit } from '@endo/promise-kit';

export const buildRootObject = () => {
  const kit = makePromiseKit();
  return Far('settler', {
    makePromise: () => harden({ promise: kit.promise }),
    settle: value => kit.resolve(value),
    take: it => it,
    takeFirst: ([it]) => it,
  });
};
