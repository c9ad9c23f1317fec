// Writes to a channel, reads it back, and tries to fetch.
import { E, Far } from '@endo/far';

export const buildRootObject = () =>
  Far('Outside', {
    bootstrap: async (vats, { notes }) => {
      await E(notes).write('one');
      await E(notes).write('two');
      const lines = [await E(notes).read(), await E(notes).read(), await E(notes).read()];
      const fetched = await fetch('http://127.0.0.1:9/x').then(
        () => 'fetched',
        error => error.message,
      );
      return [lines, fetched, typeof Date.now()];
    },
  });
