// Introduces front<n> to counter<n>, and runs all pairs at once.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  const fronts = [];
  return Far('pairs', {
    async bootstrap(vats) {
      for (let n = 0; vats[`front${n}`]; n += 1) {
        fronts.push(vats[`front${n}`]);
        await E(vats[`front${n}`]).meet(vats[`counter${n}`]);
      }
    },
    run: n => Promise.all(fronts.map(front => E(front).calls(n))).then(() => n),
  });
};
