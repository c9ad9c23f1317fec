import { Far } from '@endo/far';

export const buildRootObject = (vatPowers, { name }) =>
  Far('Bob', {
    hello: from => {
      console.log(`${from} says hello`);
      return `hello ${from}, I am ${name}`;
    },
  });
