import { E, Far } from '@endo/far';

// Two of these: what one asks of the other is answered, refused, or never answered.
export const buildRootObject = (vatPowers, { name }) =>
  Far(name, {
    bootstrap: async ({ alice, bob }) => {
      const sum = await E(alice).ask(bob, 40);
      const refused = await E(bob).refuse().catch(error => error.message);
      void E(bob).never();
      return `${sum}, ${refused}`;
    },
    ask: async (other, n) => {
      console.log(`${name} asks`);
      const answer = await E(other).think(n);
      return answer + 1;
    },
    // Long enough to be the largest part of anything.
    think: n => {
      let sum = 0;
      for (let i = 0; i < 300000; i += 1) sum += i % 7;
      return sum > 0 ? n + 1 : n;
    },
    refuse: () => {
      throw Error(`${name} says no`);
    },
    pass: other => E(other).refuse(),
    never: () => new Promise(() => {}),
  });
