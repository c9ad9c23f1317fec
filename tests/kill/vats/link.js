// One vat of a ring of three. A promise goes around before anybody decides it, with messages for what it will be; the
// last vat decides it, and more messages follow: they must come in the order in which they were sent, and everybody who
// holds the promise must hear of it once.
import { E, Far } from '@endo/far';

export const buildRootObject = () => {
  let next;
  let last;
  let sink;
  const waiting = new Map(); // op -> what decides the promise
  const settled = new Map(); // op -> how often
  const count = op => settled.set(op, (settled.get(op) ?? 0) + 1);

  const self = Far('link', {
    meet: (nextLink, lastLink, sinkRoot) => {
      next = nextLink;
      last = lastLink;
      sink = sinkRoot;
    },
    ping: () => 'link',
    // A token on its way.
    pass: (op, number, token) => {
      E(sink).take(op, number, token);
    },

    // -- the first vat
    chain: async (op, early, late) => {
      const target = E(last).promised(op);
      const hits = [];
      for (let n = 0; n < early; n += 1) hits.push(E(target).hit(n));
      const heard = E(next).hold(op, target, 2);
      target.then(() => count(op));
      hits.push(heard);
      await E(last).decide(op);
      for (let n = early; n < early + late; n += 1) hits.push(E(target).hit(n));
      await Promise.all(hits);
      const order = await E(target).order();
      const times = [settled.get(op), ...(await E(next).times(op, 2))];
      settled.delete(op);
      return harden({ order, times });
    },

    // -- who holds it on the way
    hold: (op, target, more) => {
      target.then(
        () => count(op),
        () => count(op),
      );
      return more > 1 ? E(next).hold(op, target, more - 1) : undefined;
    },
    times: async (op, more) => {
      const own = settled.get(op) ?? 0;
      settled.delete(op);
      return harden([own, ...(more > 1 ? await E(next).times(op, more - 1) : [])]);
    },

    // -- the last one
    promised: op =>
      new Promise(resolve => {
        waiting.set(op, resolve);
      }),
    decide: op => {
      const seen = [];
      waiting.get(op)(
        Far('target', {
          hit: n => {
            seen.push(n);
          },
          order: () => harden([...seen]),
        }),
      );
      waiting.delete(op);
    },
    state: () => harden({ waiting: [...waiting.keys()], settled: [...settled] }),
  });
  return self;
};
