import { E, Far } from '@endo/far';

export const buildRootObject = (vatPowers, { length }) =>
  Far('Head', {
    bootstrap: async vats => {
      const links = [vats.link0, vats.link1, vats.link2, vats.link3];
      // Tell each link who comes after it; the last one points back at the first.
      await Promise.all(links.map((link, i) => E(link).join(links[(i + 1) % links.length])));

      // One message per step, each to the promise of the step before. Nothing is awaited on the way.
      let end = E(links[0]).start();
      for (let step = 1; step < length; step += 1) end = E(end).next();
      console.log(`${length} messages are on their way`);

      const path = await E(end).path();
      console.log(`they went ${path.join(' -> ')}`);
      return path;
    },
  });
