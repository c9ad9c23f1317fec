import { E, Far } from '@endo/far';

export const buildRootObject = (vatPowers, { name }) =>
  Far('Alice', {
    bootstrap: async vats => {
      console.log(`I am ${name}`);
      const answer = await E(vats.bob).hello(name);
      console.log(`Bob answered "${answer}"`);
      return `${name} and Bob have met`;
    },
    greet: (who, count = 1n) => `${name} greets ${who} ${count} times`,
  });
