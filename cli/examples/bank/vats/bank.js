import { Far } from '@endo/far';
import { prepareExoClass } from '@agoric/vat-data';

export const buildRootObject = (vatPowers, { currency }, baggage) => {
  // What a purse holds lives in the vat's store, not in a JavaScript object: purses survive the worker.
  const makePurse = prepareExoClass(
    baggage,
    'Purse',
    undefined,
    (owner, balance) => ({ owner, balance }),
    {
      getBalance() {
        return this.state.balance;
      },
      getOwner() {
        return this.state.owner;
      },
      /** Takes money out, as a new purse. */
      withdraw(amount) {
        const { state } = this;
        if (amount <= 0n) throw RangeError('a payment must be more than nothing');
        if (amount > state.balance) throw Error('insufficient funds');
        state.balance -= amount;
        return makePurse(state.owner, amount);
      },
      /** Takes all that is in PAYMENT, a purse of this bank or the promise of one. */
      async deposit(paymentP) {
        const { state } = this;
        const payment = await paymentP;
        const amount = payment.getBalance();
        // Emptied first: a purse put into itself must not double what it holds.
        payment.withdraw(amount);
        state.balance += amount;
        return state.balance;
      },
    },
  );

  return Far('Bank', {
    openPurse: (owner, amount) => {
      console.log(`${owner} opens a purse with ${amount} ${currency}`);
      return makePurse(owner, amount);
    },
    getCurrency: () => currency,
  });
};
