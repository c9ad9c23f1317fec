// Reads lines from a channel, and writes them.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let channel;
  let line = '';
  return Far('reader', {
    bootstrap(_vats, { repl }) {
      channel = repl;
    },
    async read() {
      line = await E(channel).read();
    },
    getLine: () => line,
    write: text => E(channel).write(text),
  });
};
