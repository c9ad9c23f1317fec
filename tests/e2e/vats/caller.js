// Sends n messages at once and answers when the last answer is there.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let counter;
  return Far('caller', {
    bootstrap(vats) {
      counter = vats.counter;
    },
    async calls(n) {
      const answers = [];
      for (let i = 0; i < n; i += 1) answers.push(E(counter).count());
      await Promise.all(answers);
      return n;
    },
  });
};
