// Says what a vat finds around it, and whether code that it imports finds the same.
/* global VatData */
import { Far } from '@endo/far';
import { importBundle } from '@endo/import-bundle';
import { passStyleOf } from '@endo/pass-style';
import { PassStyleOfEndowmentSymbol } from '@endo/pass-style/endow.js';

export const meta = () => ({ passStyleOf });

const endowments = { console, assert, VatData };
export const recurse = bundle => importBundle(bundle, { endowments });

export const buildRootObject = (_vatPowers, { bundle }) =>
  Far('root', {
    bootstrap() {},
    kinds: () => [typeof notThere, typeof harden, ...Object.keys(VatData).map(name => `${name}: ${typeof VatData[name]}`)],
    passStyle: () => globalThis[PassStyleOfEndowmentSymbol] === passStyleOf,
    async children() {
      const child = await recurse(bundle);
      const grandchild = await child.recurse(bundle);
      return [child, grandchild].map(module => module.meta().passStyleOf === passStyleOf);
    },
  });
