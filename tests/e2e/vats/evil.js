// What a hostile vat tries against the machine it runs on.
import { Far } from '@endo/far';

export const buildRootObject = ({ exitVat, exitVatWithFailure }) => {
  const keep = [];
  const recurse = n => 1 + recurse(n + 1);
  return Far('evil', {
    ok: () => 'still alive',
    // the meter
    loop() {
      for (;;);
    },
    async promiseLoop() {
      for (;;) await null;
    },
    regexp: () => /^(a+)+$/.test(`${'a'.repeat(40)}!`),
    // the clock: native loops, which the meter does not see
    nativeLoop: () => Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1),
    // the heap
    arrays() {
      for (;;) keep.push(new Uint8Array(1_000_000));
    },
    slots() {
      for (;;) keep.push({ a: 1, b: {} });
    },
    strings() {
      let s = 'x';
      for (;;) s += s;
    },
    // the stack
    recurse: () => recurse(0),
    deepJson: () => JSON.parse('['.repeat(1_000_000)),
    // by its own will
    exit: () => exitVat('done here'),
    exitWithFailure: () => exitVatWithFailure(Error('had enough')),
  });
};
