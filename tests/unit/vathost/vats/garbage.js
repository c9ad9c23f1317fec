import { Far } from '@endo/far';
import { defineKind } from '@agoric/vat-data';

export function buildRootObject() {
  const makeThing = defineKind('thing', () => ({}), {});
  return Far('root', {
    make(count) {
      for (let i = 0; i < count; i += 1) makeThing();
    },
  });
}
