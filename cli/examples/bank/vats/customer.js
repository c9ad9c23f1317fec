import { E, Far } from '@endo/far';

export const buildRootObject = (vatPowers, { payments, rounds = 1 }) =>
  Far('Customer', {
    bootstrap: async ({ bank }) => {
      const currency = await E(bank).getCurrency();
      const alice = await E(bank).openPurse('alice', 1000n);
      const bob = await E(bank).openPurse('bob', 0n);

      for (let round = 1; round <= rounds; round += 1) {
        for (let i = 1; i <= payments; i += 1) {
          // The payment is a promise: it is deposited before this vat has ever seen it.
          const payment = E(alice).withdraw(BigInt(i));
          await E(bob).deposit(payment);
        }
        // Before the next round bob pays all of it back.
        if (round < rounds) await E(alice).deposit(E(bob).withdraw(await E(bob).getBalance()));
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
