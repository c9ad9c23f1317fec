// Writes down what it is told, by whom and in which order.
import { Far } from '@endo/far';
import { makeJournal } from './journal.js';

export const buildRootObject = () => {
  const journal = makeJournal();
  let noted = 0;
  return Far('desk', {
    ping: () => 'desk',
    note: (client, n) => {
      noted += 1;
      journal.add([client, n]);
      return n;
    },
    journal: from => journal.page(from),
    state: () => harden({ noted }),
  });
};
