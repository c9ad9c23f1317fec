import { Far } from '@endo/far';

export const buildRootObject = (vatPowers, { name }) => {
  console.log(`${name} is there`);
  return Far('Worker', {
    add: (a, b) => a + b,
    leave: why => vatPowers.exitVat(`${name}: ${why}`),
  });
};
