// Moves money between banks: take here, and only then put there. Each transfer is an async function that is suspended
// while the other vat works.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let banks = [];
  let open = 0;
  return Far('teller', {
    meet: others => {
      banks = others;
    },
    ping: () => 'teller',
    transfer: async (op, from, fromAccount, to, toAccount, amount) => {
      open += 1;
      const taken = await E(banks[from]).change(op, fromAccount, -amount);
      const put = taken && (await E(banks[to]).change(op, toAccount, amount));
      open -= 1;
      return put ? 'moved' : 'refused';
    },
    state: () => harden({ open }),
  });
};
