import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  // One line after the other; null says that who sent them has gone, and the next one may come.
  const serve = async door => {
    for (;;) {
      const line = await E(door).read();
      if (line === null) {
        console.log('somebody left');
      } else {
        console.log(`came in: ${line}`);
        await E(door).write(`echo: ${line}`);
      }
    }
  };

  return Far('Echo', {
    bootstrap: async ({ visitor }, { door, wire }) => {
      serve(door).catch(error => console.error('the door is shut:', error.message));
      return E(visitor).visit(wire);
    },
  });
};
