import { E, Far } from '@endo/far';

/* Holds on to what another vat gave it, over any restart of both. */
export const buildRootObject = () => {
  let memory;
  const held = [];
  let paid = 'nothing yet';
  return Far('remembers', {
    bootstrap: async vats => {
      ({ memory } = vats);
      void E(memory).owe().then(value => { paid = value; }, why => { paid = `${why}`; });
      held.push(await E(memory).make(), await E(memory).make());
    },
    step: by => E(memory).step(by),
    more: async () => { held.push(await E(memory).make()); return held.length; },
    ask: () => Promise.all(held.map(it => E(it).ask().catch(why => `${why}`))),
    pay: value => E(memory).pay(value),
    paid: () => paid,
    visits: () => E(memory).visits(),
  });
};
