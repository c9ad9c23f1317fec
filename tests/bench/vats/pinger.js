// Asks another vat for an answer, again and again, and prints a line each time one is there.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let on = true;
  return Far('pinger', {
    async ping(other) {
      while (on) {
        await E(other).pong();
        console.log('ping');
      }
    },
    pong: () => {},
    stop: () => {
      on = false;
    },
  });
};
