// Accounts twice: in the heap and in the vat's own store. Whoever finds them different says so in the journal, which
// has an entry for each thing that happened to an account.
import { Far } from '@endo/far';
import { makeScalarBigMapStore, provide } from '@agoric/vat-data';
import { makeJournal } from './journal.js';

export const buildRootObject = (_powers, { accounts, start }, baggage) => {
  const stored = provide(baggage, 'accounts', () => makeScalarBigMapStore('accounts', { durable: true }));
  const balances = new Map();
  const journal = makeJournal();
  for (let n = 0; n < accounts; n += 1) {
    balances.set(`a${n}`, start);
    stored.init(`a${n}`, start);
  }
  const change = (op, account, amount) => {
    if (stored.get(account) !== balances.get(account)) journal.add([op, 'torn', account, 0]);
    const balance = balances.get(account) + amount;
    if (balance < 0) {
      journal.add([op, 'refused', account, amount]);
      return false;
    }
    balances.set(account, balance);
    stored.set(account, balance);
    journal.add([op, 'changed', account, amount]);
    return true;
  };
  return Far('bank', {
    ping: () => 'bank',
    change,
    journal: from => journal.page(from),
    state: () => harden({ balances: [...balances], stored: [...stored.entries()] }),
  });
};
