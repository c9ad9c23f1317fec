// Sends a vat what it does not survive, with messages before and behind it.
import { E, Far } from '@endo/far';

const tell = promise =>
  promise.then(
    value => ['fulfilled', value],
    error => ['rejected', error.message],
  );

export const buildRootObject = () => {
  let victim;
  let paid = 'nothing yet';
  let visits = 0;
  const visited = Far('visited', {
    visit() {
      visits += 1;
    },
  });
  return Far('poisoner', {
    bootstrap(vats) {
      victim = vats.victim;
      E(victim)
        .owe()
        .then(value => (paid = value));
    },
    async poison(method) {
      const all = [E(victim).hear('before'), E(victim)[method](visited), E(victim).hear('behind')];
      const told = await Promise.all(all.map(tell));
      return [...told, await tell(E(victim).hear('after'))];
    },
    hear: word => E(victim).hear(word),
    kept: () => E(victim).kept(),
    visits: () => visits,
    pay: () => E(victim).pay(),
    paid: () => paid,
  });
};
