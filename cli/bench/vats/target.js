import { Far } from '@endo/far';

// The vat at the other end: it counts, and answers what it was given.
export const buildRootObject = () => {
  let came = 0;
  let wrong = 0;
  const chains = new Map();

  const note = n => {
    came += 1;
    if (n !== came) wrong += 1;
  };

  const target = Far('Target', {
    // When the load maker calls this vat itself, it is the bootstrap vat.
    bootstrap: () => {},
    ping: n => {
      note(n);
      return n;
    },
    hit: note,
    count: () => came,
    // Chains overtake each other, the steps of one do not.
    next: (chain, step, last) => {
      came += 1;
      if (step !== (chains.get(chain) || 0)) wrong += 1;
      if (step === last) chains.delete(chain);
      else chains.set(chain, step + 1);
      return target;
    },
    take: things => {
      came += things.length;
      return things.length;
    },
    report: () => harden({ came, wrong }),
  });
  return target;
};
