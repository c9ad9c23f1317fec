// Moves one coin after the other, waiting for each answer, and says how far it is: whoever is
// killed meanwhile, every coin must have moved once and every line must appear once.
import { E, Far } from '@endo/far';

export const buildRootObject = (_vatPowers, { coins, every }) =>
  Far('teller', {
    async bootstrap({ bank }) {
      const total = BigInt(coins);
      const [from, to] = await Promise.all([E(bank).makePurse(total), E(bank).makePurse(0n)]);
      for (let coin = 1; coin <= coins; coin += 1) {
        const balance = await E(to).move(from, 1n);
        if (balance !== BigInt(coin)) throw Error(`coin ${coin} made a balance of ${balance}`);
        if (coin % every === 0) console.log(`moved ${coin}`);
      }
      const left = E(E(bank).makePurse(0n)).move(from, 1n);
      const refused = await left.then(
        () => 'not refused',
        error => error.message,
      );
      return [await E(from).getBalance(), await E(to).getBalance(), refused];
    },
  });
