import { E, Far } from '@endo/far';

const never = new Promise(() => {});

export const buildRootObject = () =>
  Far('Bob', {
    hello: name => `hello ${name}`,
    take: present => E(present).amount(),
    wait: () => never,
  });
