import { E, Far } from '@endo/far';

export const buildRootObject = (vatPowers, { payments }) =>
  Far('Customer', {
    bootstrap: async ({ bank }) => {
      const currency = await E(bank).getCurrency();
      const alice = await E(bank).openPurse('alice', 1000n);
      const bob = await E(bank).openPurse('bob', 0n);

      for (let i = 1; i <= payments; i += 1) {
        // The payment is a promise: it is deposited before this vat has ever seen it.
        const payment = E(alice).withdraw(BigInt(i));
        await E(bob).deposit(payment);
      }
      const refused = await E(alice)
        .withdraw(1_000_000n)
        .then(
          () => 'paid',
          error => error.message,
        );
      const balances = { alice: await E(alice).getBalance(), bob: await E(bob).getBalance() };
      console.log(`alice has ${balances.alice} ${currency}, bob has ${balances.bob} ${currency}`);
      return { currency, balances, refused, total: balances.alice + balances.bob };
    },
  });
