import { Far } from '@endo/far';
import { makePromiseKit } from '@endo/promise-kit';

/* A vat whose state is nowhere but in its heap: a closure, a Map, an async function that waits in the middle. */
export const buildRootObject = () => {
  let count = 0;
  const seen = new Map();
  let kit = makePromiseKit();
  const rounds = [];
  const walk = async () => {
    for (let round = 1; ; round += 1) {
      const word = await kit.promise;
      kit = makePromiseKit();
      rounds.push(`${round}:${word}`);
    }
  };
  void walk();

  return Far('keeper', {
    bootstrap: () => 'ready',
    add(token) {
      if (seen.has(token)) throw Error(`${token} came twice`);
      count += 1;
      seen.set(token, count);
      return count;
    },
    say(word) {
      kit.resolve(word);
    },
    told: () => [count, seen.size, [...rounds]],
  });
};
