// Asks on a console channel until it is told to stop.
import { E, Far } from '@endo/far';

export const buildRootObject = () =>
  Far('Asker', {
    bootstrap: async (vats, { tty }) => {
      const names = [];
      for (;;) {
        await E(tty).write(`name ${names.length}?`);
        const name = await E(tty).read();
        if (name === null || name === 'stop') return [names, name];
        names.push(name);
      }
    },
  });
