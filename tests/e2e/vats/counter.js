import { Far } from '@endo/far';

export const buildRootObject = () => {
  let n = 0;
  return Far('counter', {
    count() {
      n += 1;
      return n;
    },
  });
};
