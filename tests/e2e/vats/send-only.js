// E.sendOnly is a message like any other, only nobody waits for an answer.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let got = 0;
  return Far('root', {
    async bootstrap({ other }) {
      E.sendOnly(other).take(7);
      return E(other).took();
    },
    take(n) {
      got += n;
    },
    took: () => got,
  });
};
