// Has objects made in other vats, keeps them, and lets go of them.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let left;
  let right;
  let kept = [];
  return Far('collector', {
    bootstrap: vats => {
      ({ left, right } = vats);
      return 'ready';
    },
    keep: async count => {
      kept = await E(left).make(count);
      return kept.length;
    },
    // Each link is held by the next one, which is in the other vat; the last one is kept here.
    chain: async length => {
      let last;
      for (let i = 0; i < length; i += 1) last = await E(i % 2 ? left : right).link(last);
      kept = [last];
      return length;
    },
    // Two cells of two vats hold each other, and nobody else holds them.
    ring: async () => {
      const [here, there] = await Promise.all([E(left).cell(), E(right).cell()]);
      await Promise.all([E(here).set(there), E(there).set(here)]);
      return 'closed';
    },
    drop: () => {
      kept = [];
      return 'dropped';
    },
  });
};
