import { E, Far } from '@endo/far';

// The vat that makes messages, the same under SwingSet and here. It cannot tell the time: who calls it can.
export const buildRootObject = () => {
  let back;
  const times = (n, what) => Array.from({ length: n }, what);

  return Far('front', {
    bootstrap: vats => {
      back = vats.back;
    },

    // N round trips, one after the other.
    ping: async n => {
      for (let i = 0; i < n; i += 1) await E(back).echo(i);
    },

    // COUNT times N messages at once, and then their answers. E.sendOnly() is not used: liveslots loses it.
    flood: async (n, count) => {
      for (let c = 0; c < count; c += 1) await Promise.all(times(n, (_, i) => E(back).echo(i)));
    },

    // N round trips, each with an object that nobody had before and nobody keeps.
    churn: async n => {
      for (let i = 0; i < n; i += 1) await E(back).take(Far('thing', {}));
    },

    seen: () => E(back).seen(),
  });
};
