import { Far } from '@endo/far';
import { prepareExoClass } from '@agoric/vat-data';

export const buildRootObject = (vatPowers, parameters, baggage) => {
  const makePurse = prepareExoClass(baggage, 'Purse', undefined, balance => ({ balance }), {
    getBalance() {
      return this.state.balance;
    },
  });
  const makeMint = prepareExoClass(baggage, 'Mint', undefined, name => ({ name }), {
    getName() {
      return this.state.name;
    },
    makePurse: amount => makePurse(amount),
  });
  return Far('Bank', {
    makeMint: name => makeMint(name),
    withdraw: () => {
      throw Error('insufficient funds');
    },
  });
};
