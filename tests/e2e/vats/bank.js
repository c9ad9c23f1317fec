// Purses in the vat's own store, and a transfer that is one crank: all of it happens, or nothing.
import { Far } from '@endo/far';
import { M } from '@endo/patterns';
import { prepareExoClass } from '@agoric/vat-data';

export const buildRootObject = (_vatPowers, _parameters, baggage) => {
  const makePurse = prepareExoClass(
    baggage,
    'Purse',
    M.interface('Purse', {
      getBalance: M.call().returns(M.nat()),
      move: M.call(M.remotable(), M.nat()).returns(M.nat()),
      take: M.call(M.nat()).returns(),
    }),
    balance => ({ balance }),
    {
      getBalance() {
        return this.state.balance;
      },
      move(from, amount) {
        from.take(amount);
        this.state.balance += amount;
        return this.state.balance;
      },
      take(amount) {
        if (this.state.balance < amount) throw Error('insufficient funds');
        this.state.balance -= amount;
      },
    },
  );
  return Far('bank', { makePurse: balance => makePurse(balance) });
};
