// Counts; its heap is all it has.
import { Far } from '@endo/far';

export const buildRootObject = () => {
  let n = 0;
  return Far('sleeper', {
    bootstrap: () => undefined,
    count() {
      n += 1;
      return n;
    },
  });
};
