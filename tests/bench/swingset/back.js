import { Far } from '@endo/far';

// The vat that answers, and counts what came.
export const buildRootObject = () => {
  let seen = 0;
  return Far('back', {
    echo: i => {
      seen += 1;
      return i;
    },
    take: _thing => {
      seen += 1;
    },
    seen: () => seen,
  });
};
