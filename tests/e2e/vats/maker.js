// Makes objects for others: many at once, links of a chain, and cells that can hold anything.
import { Far } from '@endo/far';

export const buildRootObject = () =>
  Far('maker', {
    make: count => Array.from({ length: count }, () => Far('thing', {})),
    link: next => Far('link', { next: () => next }),
    cell: () => {
      let held;
      return Far('cell', {
        set: value => {
          held = value;
        },
        get: () => held,
      });
    },
  });
