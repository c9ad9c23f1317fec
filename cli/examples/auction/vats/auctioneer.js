import { E, Far } from '@endo/far';

export const buildRootObject = (vatPowers, { lot, start, step }) => {
  const makeLot = title => Far('Lot', { getTitle: () => title });

  return Far('Auctioneer', {
    bootstrap: async ({ auctioneer: _, ...bidders }) => {
      const names = Object.keys(bidders).sort();
      let price = start;
      let winner;
      let rounds = 0;

      // All are asked at the same time, so the order of the answers does not decide: the order of the
      // names does, when two would pay the same.
      for (;;) {
        const asked = names.filter(name => name !== winner);
        const bids = await Promise.all(asked.map(name => E(bidders[name]).bid(lot, price)));
        rounds += 1;
        const taker = asked.find((_name, i) => bids[i]);
        if (taker === undefined) break;
        winner = taker;
        console.log(`${winner} bids ${price}`);
        price += step;
      }
      const paid = price - step;
      if (winner === undefined) return harden({ lot, winner: null, rounds });

      console.log(`sold to ${winner} for ${paid}`);
      await E(bidders[winner]).receive(makeLot(lot), paid);
      await Promise.all(names.filter(name => name !== winner).map(name => E(bidders[name]).lost(lot, winner)));
      const left = Object.fromEntries(
        await Promise.all(names.map(async name => [name, await E(bidders[name]).getMoney()])),
      );
      return harden({ lot, winner, paid, rounds, left });
    },
  });
};
