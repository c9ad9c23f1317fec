import { E, Far } from '@endo/far';

export const buildRootObject = (vatPowers, { index }) => {
  let successor;

  // A step knows the way that led to it, and takes the next one in the vat that comes after.
  const makeStep = path =>
    Far('Step', {
      next: () => E(successor).arrive(path),
      path: () => path,
    });

  return Far('Link', {
    join: next => {
      successor = next;
    },
    start: () => makeStep(harden([index])),
    arrive: path => makeStep(harden([...path, index])),
  });
};
