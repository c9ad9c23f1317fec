// Sends n messages, 50 at a time, and answers when the last answer is there.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let counter;
  return Far('caller', {
    meet(other) {
      counter = other;
    },
    async calls(n) {
      for (let sent = 0; sent < n; sent += 50) {
        const answers = [];
        for (let i = 0; i < 50; i += 1) answers.push(E(counter).count());
        await Promise.all(answers);
      }
      return n;
    },
  });
};
