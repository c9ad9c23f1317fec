// Remembers in its heap only, and takes deliveries that no worker survives.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  const heard = [];
  let kept = 0;
  let pay;
  const debt = new Promise(resolve => (pay = resolve));
  return Far('poisoned', {
    hear(word) {
      heard.push(word);
      return heard.join(' ');
    },
    owe: () => debt,
    pay: () => pay('a debt'),
    forgetful(thing) {
      // What a delivery that is given up did is not done.
      kept += 1;
      heard.push('never');
      E(thing).visit();
      for (;;);
    },
    kept: () => kept,
    loop() {
      for (;;);
    },
    nativeLoop: () => Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1),
    arrays() {
      const keep = [];
      for (;;) keep.push(new Uint8Array(1_000_000));
    },
    recurse() {
      const deeper = n => 1 + deeper(n + 1);
      return deeper(0);
    },
  });
};
