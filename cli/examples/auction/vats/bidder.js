import { E, Far } from '@endo/far';

export const buildRootObject = (vatPowers, { name, limit }) => {
  let money = limit;
  const owned = [];

  return Far('Bidder', {
    bid: (lot, price) => price <= money,
    receive: async (lot, price) => {
      money -= price;
      owned.push(lot);
      console.log(`${name} owns ${await E(lot).getTitle()}`);
    },
    lost: (lot, winner) => {
      console.log(`${name} leaves ${lot} to ${winner}`);
    },
    getMoney: () => money,
    countOwned: () => owned.length,
  });
};
