// Keeps what it is shown, and says later what became of it.
import { Far } from '@endo/far';

export const buildRootObject = () => {
  let kept, told;
  return Far('witness', {
    keep(thing, promise) {
      kept = thing;
      told = Promise.resolve(promise).then(
        value => ['fulfilled', value],
        error => ['rejected', error.message],
      );
    },
    same: thing => thing === kept,
    seen: () => told,
  });
};
