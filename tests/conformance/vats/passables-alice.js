// Sends every passable to bob and compares what comes back; then hands out all that came back.
import { E, Far } from '@endo/far';
import { makePassables, same } from './passables.js';

export const buildRootObject = () => {
  const passables = makePassables();
  return Far('alice', {
    async bootstrap({ bob }) {
      const back = {};
      for (const [name, value] of Object.entries(passables)) {
        // In an array, because a promise that is a whole answer would be waited for.
        const [echo] = await E(bob).echo([value]);
        console.log(`${name} ${same(value, echo) ? 'came back' : `came back as ${String(echo)}`}`);
        back[name] = echo;
      }
      const differ = await E(bob).compare(passables);
      console.log(`at bob: ${differ.length ? differ.join(' ') : 'all the same'}`);
      return harden(back);
    },
  });
};
