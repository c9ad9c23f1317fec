// Tokens that are objects, each with a number of its own. They travel over a relay to a sink, which brings
// each home once: a token that comes twice, or that was never made, is in the journal as 0.
import { E, Far } from '@endo/far';
import { makeJournal } from './journal.js';

export const buildRootObject = () => {
  const numbers = new Map();
  const journal = makeJournal();
  let relay;
  let made = 0;
  return Far('mint', {
    meet: other => {
      relay = other;
    },
    ping: () => 'mint',
    issue: op => {
      made += 1;
      const token = Far('token', {});
      numbers.set(token, made);
      E(relay).pass(op, made, token);
      return made;
    },
    redeem: (op, token) => {
      journal.add([op, numbers.get(token) ?? 0]);
      numbers.delete(token);
    },
    journal: from => journal.page(from),
    state: () => harden({ out: numbers.size, made }),
  });
};
