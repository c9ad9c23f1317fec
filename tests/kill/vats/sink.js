// Where tokens end: it writes down each and brings it home.
import { E, Far } from '@endo/far';
import { makeJournal } from './journal.js';

export const buildRootObject = () => {
  const journal = makeJournal();
  let mint;
  return Far('sink', {
    meet: other => {
      mint = other;
    },
    ping: () => 'sink',
    take: (op, number, token) => {
      journal.add([op, number]);
      E(mint).redeem(op, token);
    },
    journal: from => journal.page(from),
    state: () => harden({}),
  });
};
